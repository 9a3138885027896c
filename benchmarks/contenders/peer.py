"""What a developer would write in an afternoon: FastAPI, httpx, redis-py, logging, Prometheus.

Done the way each library's own documentation shows: pooled clients opened once, typed bodies and answers, one GET a
question, one look-up and one SET on a miss, one log line a question, metrics by the usual instrumentation. It knows
nothing of outages, single flight, budgets or secrets in Redis. Its server is the gateway's: uvicorn, uvloop, httptools,
without an access log.
"""

import hmac
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel
from redis.asyncio import Redis

GAME_ID = 3
OWNED_SECONDS = 3600
NOT_OWNED_SECONDS = 45

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s %(message)s")
# The client logs each request with its URL, the player's key included.
logging.getLogger("httpx").setLevel(logging.WARNING)
logger = logging.getLogger("peer")


class Question(BaseModel):
    """What is asked."""

    game: int
    download_key: str


class Ownership(BaseModel):
    """What is known, as it is cached."""

    owned: bool
    key_id: int | None = None
    player_id: int | None = None


class Answer(BaseModel):
    """What is answered."""

    allowed: bool
    game_id: int
    key_id: int | None
    player_id: int | None
    cached: bool


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the clients, and close them."""
    headers = {"Authorization": f"Bearer {os.environ['PEER_API_KEY']}"}
    async with httpx.AsyncClient(base_url=os.environ["PEER_STORE_URL"], headers=headers, timeout=5) as store:
        app.state.store = store
        async with Redis.from_url(os.environ["PEER_REDIS_URL"], decode_responses=True) as redis:
            app.state.redis = redis
            yield


app = FastAPI(lifespan=lifespan)
Instrumentator().instrument(app).expose(app)
bearer = HTTPBearer()


async def authenticate(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> None:
    """Let in whoever has the token."""
    if not hmac.compare_digest(credentials.credentials, os.environ["PEER_TOKEN"]):
        raise HTTPException(401)


@app.post("/verify/download-key", dependencies=[Depends(authenticate)])
async def verify(question: Question, request: Request) -> Answer:
    """Answer one question."""
    started = time.perf_counter()
    redis: Redis = request.app.state.redis
    name = f"ownership:{question.game}:{question.download_key}"
    cached = await redis.get(name)
    if cached is not None:
        ownership = Ownership.model_validate_json(cached)
    else:
        ownership = await look_up(request.app.state.store, question)
        seconds = OWNED_SECONDS if ownership.owned else NOT_OWNED_SECONDS
        await redis.set(name, ownership.model_dump_json(), ex=seconds)
    milliseconds = (time.perf_counter() - started) * 1000
    logger.info(
        "verified game=%s owned=%s cached=%s duration_ms=%.3f",
        question.game, ownership.owned, cached is not None, milliseconds,
    )  # fmt: skip
    return Answer(
        allowed=ownership.owned,
        game_id=question.game,
        key_id=ownership.key_id,
        player_id=ownership.player_id,
        cached=cached is not None,
    )


async def look_up(store: httpx.AsyncClient, question: Question) -> Ownership:
    """Ask the store."""
    response = await store.get(f"/games/{question.game}/download_keys", params={"download_key": question.download_key})
    key = response.json().get("download_key")
    if key is None:
        return Ownership(owned=False)
    return Ownership(owned=True, key_id=key["id"], player_id=(key.get("owner") or {}).get("id"))
