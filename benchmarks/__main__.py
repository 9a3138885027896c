"""`python -m benchmarks`: measures, on this machine, what the documentation leases."""

from pathlib import Path
from typing import Final

import click

from benchmarks import (
    bans,
    far_redis,
    footprint,
    forward_auth,
    growth,
    guard,
    hostile,
    mailed_codes,
    misses,
    overrides,
    passes,
    profiling,
    refusals,
    relay,
    reload,
    scrape,
    simulation,
    strangers,
)
from benchmarks.calls import count_first_question
from benchmarks.far_limit import open_far_limit
from benchmarks.honest import open_honest_modes
from benchmarks.laboratory import Laboratory
from benchmarks.modes import VOID_TRIES, measure_rounds, open_floor, open_gateway_modes, open_peer
from benchmarks.processes import BenchmarkError
from benchmarks.report import make_report, table, warning, write, write_json

_ROUNDS: Final = 5
_SECONDS: Final = 3.0
_QUICK_ROUNDS: Final = 3
_QUICK_SECONDS: Final = 1.0

_out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/benchmarks"),
    show_default=True,
    help="Where the JSON and the plots go.",
)
_seconds = click.option(
    "--seconds", type=click.FloatRange(1), default=_SECONDS, show_default=True, help="How long a round takes."
)
_rounds = click.option(
    "--rounds", type=click.IntRange(1), default=_ROUNDS, show_default=True, help="How many; medians are reported."
)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Say in one line what could not be measured."""
        try:
            return super().invoke(ctx)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the gateway beside what else could stand in its place.

    Servers run on the first core that this process may use, load on the second. Only ratios within one run mean
    anything on another machine.
    """


@main.command()
@_out
@_rounds
@_seconds
@click.option("--quick", is_flag=True, help=f"{_QUICK_ROUNDS} rounds of {_QUICK_SECONDS:.0f} second, for a first look.")
@click.option(
    "--void-tries",
    type=click.IntRange(1),
    default=VOID_TRIES,
    show_default=True,
    help="How often a round is measured whose server shared its core with others.",
)
@click.option("--only-honest", is_flag=True, help="Leave out the rows with equal heads, and nginx: half the time.")
def run(*, out: Path, rounds: int, seconds: float, quick: bool, void_tries: int, only_honest: bool) -> None:
    """Compare the gateway with an empty handler, with the peer and, where it can be had, with nginx, Lua and Redis."""
    if quick:
        rounds, seconds = _QUICK_ROUNDS, _QUICK_SECONDS
    with Laboratory() as laboratory:
        floor, peer = open_floor(laboratory), open_peer(laboratory)
        litestar = next(mode.target for mode in floor if mode.name == "litestar")
        modes = open_honest_modes(laboratory, litestar=litestar, peer=peer.target)
        if not only_honest:
            modes += [*floor, *open_gateway_modes(laboratory), peer, *open_far_limit(laboratory, _say)]
        measured = measure_rounds(modes, rounds=rounds, seconds=seconds, tell=_say, void_tries=void_tries)
    report = make_report(measured, rounds=rounds, count=count_first_question())
    write(report, out)
    click.echo(f"Python {report.python}, built {report.python_built_with}; {report.machine}, {report.cores} cores\n")
    click.echo(table(report.modes))
    click.echo()
    for ratio in report.ratios:
        click.echo(ratio)
    if (caution := warning(report.modes)) is not None:
        click.echo(f"\n{caution}")
    click.echo(f"\nwritten to {out}")
    if report.failures:
        raise BenchmarkError("not everything could be measured:\n" + "\n".join(report.failures))


@main.command(name="guard")
@click.option("--threshold", type=float, default=guard.LEAST_RATIO, show_default=True, help="The least ratio.")
@click.option("--tries", type=click.IntRange(1), default=4, show_default=True, help="How often; the best one counts.")
@click.option("--most-calls", type=int, default=guard.MOST_CALLS, show_default=True, help="Of our own functions.")
@click.option("--most-files", type=int, default=guard.MOST_FILES, show_default=True, help="Of service/, entered.")
def watch(*, threshold: float, tries: int, most_calls: int, most_files: int) -> None:
    """Fail when a first question from memory has become too slow, or goes through too much.

    Its CPU time is measured against the empty Litestar handler's, both on the honest load; calls and files are counted.
    """
    count = count_first_question()
    counted = f"a first question from memory: {count.calls} calls in {len(count.files)} files"
    if count.calls > most_calls or len(count.files) > most_files:
        raise BenchmarkError(f"{counted}, more than {most_calls} in {most_files}")
    click.echo(f"{counted}, at most {most_calls} in {most_files}")
    best = guard.best_ratio(threshold=threshold, tries=tries, tell=_say)
    if best < threshold:
        raise BenchmarkError(
            f"first question from memory / empty Litestar handler is {best:.2f}, below {threshold:.2f}"
        )
    click.echo(f"first question from memory / empty Litestar handler is {best:.2f}, at least {threshold:.2f}")


@main.command(name="growth")
@click.argument("what", type=click.Choice(sorted(growth.EXPERIMENTS)))
@_out
@_seconds
def grow(*, what: str, out: Path, seconds: float) -> None:
    """Show how cost grows with connections, with identities, or with processes that share one Redis."""
    result = growth.EXPERIMENTS[what](seconds, _say)
    click.echo(growth.table(result))
    write_json(result, out / f"growth-{what}.json")
    (out / f"growth-{what}.svg").write_text(growth.plot(result), encoding="utf-8")


@main.command(name="footprint")
@_out
@click.option("--starts", type=click.IntRange(1), default=7, show_default=True, help="How often each is started.")
def weigh(*, out: Path, starts: int) -> None:
    """Compare cold start and memory with the empty Litestar app."""
    result = footprint.measure_footprint(starts=starts, tell=_say)
    click.echo(footprint.table(result))
    write_json(result, out / "footprint.json")


@main.command()
@_out
def simulate(*, out: Path) -> None:
    """Let players join against the store's budget, in virtual time, with a cold and with a warm Redis."""
    result = simulation.simulate_launches()
    click.echo(simulation.table(result))
    write_json(result, out / "simulation.json")
    (out / "simulation.svg").write_text(simulation.plot(result), encoding="utf-8")


@main.command(name="passes")
@_out
@_rounds
@click.option("--players", type=click.IntRange(1), multiple=True, help="How many join.")
def show_passes(*, out: Path, rounds: int, players: tuple[int, ...]) -> None:
    """Measure what showing a pass costs, and let players join where nothing is remembered but what passes say."""
    shown = passes.measure_showing(rounds=rounds)
    click.echo(passes.table(shown))
    launches = passes.launch_cold(players or passes.PLAYERS)
    click.echo(f"\n{passes.table_of_cold(launches)}")
    write_json({"shown": shown, "launches": launches}, out / "passes.json")


@main.command(name="forward-auth")
@_out
@_rounds
def ask_as_proxy(*, out: Path, rounds: int) -> None:
    """Measure what the question of a proxy costs about a known player, beside the same one by `/verify`."""
    compared = forward_auth.measure(rounds=rounds)
    click.echo(forward_auth.table(compared))
    write_json(compared, out / "forward_auth.json")


@main.command(name="relay")
@_out
@_rounds
def ask_relay(*, out: Path, rounds: int) -> None:
    """Measure what a relay adds to a question that it does not know, near its hub and far; and one that it knows."""
    found = relay.measure(rounds=rounds)
    known = relay.measure_known(rounds=rounds)
    click.echo(f"{relay.table(found)}\n\n{relay.table_of_known(known)}")
    write_json({"misses": found, "known": known}, out / "relay.json")


@main.command(name="mailed-codes")
@_out
@click.option("--addresses", default=2000, show_default=True, help="Buyers, and strangers.")
def time_mailed_codes(*, out: Path, addresses: int) -> None:
    """Measure whether buyers and strangers can be told apart by the time of the answer when a code is mailed."""
    found = mailed_codes.measure(addresses=addresses)
    click.echo(mailed_codes.table(found))
    write_json(found, out / "mailed_codes.json")


@main.command(name="misses")
@_out
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="How many; the median one counts.")
def miss(*, out: Path, rounds: int) -> None:
    """Ask 500 questions at once that only the store can answer, and compare with what its budget allows."""
    result = misses.measure_misses(rounds=rounds, tell=_say)
    click.echo(misses.table(result))
    write_json(result, out / "misses.json")


@main.command(name="hostile")
@_out
def harm(*, out: Path) -> None:
    """Show what 200 hostile connections of each kind cost a gateway in memory, and its callers in waiting."""
    result = hostile.measure_harm(_say)
    click.echo(hostile.table(result))
    write_json(result, out / "hostile.json")


@main.command(name="far-redis")
@_out
def be_far(*, out: Path) -> None:
    """Show what a Redis that answers late adds to questions that memory cannot answer."""
    result = far_redis.measure_far_redis(_say)
    click.echo(far_redis.table(result))
    write_json(result, out / "far-redis.json")


@main.command(name="scrape")
@_out
def read_metrics(*, out: Path) -> None:
    """Show what a scrape costs in CPU time with 10 to 1 000 configured games."""
    result = scrape.measure_scrapes()
    click.echo(scrape.table(result))
    write_json(result, out / "scrape.json")


@main.command(name="strangers")
@_out
def refuse(*, out: Path) -> None:
    """Show what refusing an unknown token costs in CPU time with 1 to 20 000 callers."""
    result = strangers.measure_strangers()
    click.echo(strangers.table(result))
    write_json(result, out / "strangers.json")


@main.command(name="reload")
@_out
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How many reloads.")
def read_again(*, out: Path, rounds: int) -> None:
    """Show what reading a large file again costs in CPU time, and how long the event loop stands still."""
    result = reload.measure_reloads(rounds=rounds)
    click.echo(reload.table(result))
    write_json(result, out / "reload.json")


@main.command(name="overrides")
@_out
@click.option("--rounds", type=click.IntRange(1), default=31, show_default=True, help="How many; medians count.")
def know(*, out: Path, rounds: int) -> None:
    """Show what a first question from memory costs in CPU time where overrides are known of other players."""
    result = overrides.measure_overrides(rounds=rounds)
    click.echo(overrides.table(result))
    write_json(result, out / "overrides.json")


@main.command(name="bans")
@_out
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="How many players are banned.")
def ban(*, out: Path, rounds: int) -> None:
    """Show how long it takes until a ban on one of five gateways holds on the others."""
    result = bans.measure_bans(rounds=rounds, tell=_say)
    click.echo(bans.table(result))
    write_json(result, out / "bans.json")


@main.command(name="refusals")
@_out
@click.option("--pairs", type=click.IntRange(1), default=40, show_default=True, help="How many pairs of blocks.")
def remember(*, out: Path, pairs: int) -> None:
    """Show what remembering refusals costs a refused question in CPU time."""
    result = refusals.measure_refusals(pairs=pairs)
    click.echo(refusals.table(result))
    write_json(result, out / "refusals.json")


@main.command()
@click.option("--mode", type=click.Choice(["memory", "redis"]), default="memory", show_default=True)
@_seconds
def profile(*, mode: str, seconds: float) -> None:
    """Show where the time goes under load, by py-spy: what each function costs itself, and with what it calls."""
    click.echo(profiling.profile(mode, seconds=seconds))


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
