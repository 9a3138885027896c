// Checks objects of the Prometheus Operator and of the Gateway API, given as JSON on standard input:
// 1. against its schemas, which know types, patterns and what is required, but let unknown fields pass;
// 2. by TypeScript against its types, which know every field.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const ts = require("typescript");

const MODELS = {
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
};

const objects = JSON.parse(fs.readFileSync(0, "utf8"));
const mistakes = [];

for (const object of objects) {
  const { [object.kind]: Model } = require(`${MODELS[object.apiVersion]}/${object.kind}`);
  try {
    new Model(object).validate();
  } catch (error) {
    mistakes.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "check-monitoring-"));
const file = path.join(directory, "objects.ts");
const kinds = new Map(objects.map((object) => [object.kind, MODELS[object.apiVersion]]));
fs.symlinkSync(path.join(__dirname, "node_modules"), path.join(directory, "node_modules"));
fs.writeFileSync(
  file,
  [
    ...[...kinds].map(([kind, models]) => `import { I${kind} } from "${models}/${kind}";`),
    ...objects.map((object, index) => `export const object${index}: I${object.kind} = ${JSON.stringify(object, null, 1)};`),
  ].join("\n"),
);
const program = ts.createProgram([file], { noEmit: true, strict: true, skipLibCheck: true, types: [] });
for (const found of ts.getPreEmitDiagnostics(program)) {
  mistakes.push(ts.flattenDiagnosticMessageText(found.messageText, " "));
}
fs.rmSync(directory, { recursive: true });

for (const mistake of mistakes) {
  console.error(`error: ${mistake}`);
}
console.log(`${objects.length} objects of the Prometheus Operator and the Gateway API checked, ${mistakes.length} mistakes`);
process.exit(mistakes.length === 0 ? 0 : 1);
