// Manages policies and signers with Microsoft's JavaScript client.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node admin.cjs plan.json
//
// The plan is written by the driver of this suite (../internal/plan).
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const { AttestationAdministrationClient, AttestationClient } = require("@azure/attestation");
const { check, finish, issuedBy } = require("./suite.cjs");

const plan = JSON.parse(fs.readFileSync(process.argv[2]));

// What the client sent last, for the hash: a signature with a key on a curve cannot be made twice.
let sent;
const recorder = {
  name: "recorder",
  sendRequest: (request, next) => {
    if (request.method === "PUT") sent = request.body;
    return next(request);
  },
};

const clients = Object.fromEntries(
  Object.entries(plan.tokens).map(([name, token]) => {
    const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600e3 }) };
    const options = {
      validationOptions: issuedBy(plan.issuer),
      additionalPolicies: [{ policy: recorder, position: "perCall" }],
    };
    return [name, new AttestationAdministrationClient(plan.issuer, credential, options)];
  }),
);

function key(name) {
  const { key, certificate } = plan.keys[name];
  return { privateKey: fs.readFileSync(key, "utf8"), certificate: fs.readFileSync(certificate, "utf8") };
}

const der = (pem) => new crypto.X509Certificate(pem).raw.toString("hex");
const signing = (step) => (step.key ? key(step.key) : {});

// What each step does, and what the answer must be.
const steps = {
  async get(client, step) {
    const { body } = await client.getPolicy(step.type);
    assert.equal(body, step.policy);
  },
  async set(client, step) {
    const { body } = await client.setPolicy(step.type, step.policy, signing(step));
    assert.equal(body.policyResolution, "Updated");
    const hash = crypto.createHash("sha256").update(sent).digest("hex");
    assert.equal(Buffer.from(body.policyTokenHash).toString("hex"), hash);
    const signers = body.policySigner?.certificates ?? [];
    assert.deepEqual(signers.map(der), step.key ? [der(key(step.key).certificate)] : []);
  },
  async reset(client, step) {
    const { body } = await client.resetPolicy(step.type, signing(step));
    assert.equal(body.policyResolution, "Removed");
  },
  async list(client, step) {
    const { body } = await client.getPolicyManagementCertificates();
    const wanted = (step.signers ?? []).map((name) => [der(key(name).certificate)]);
    assert.deepEqual(body.map((signer) => signer.certificates.map(der)), wanted);
  },
  add: (client, step) => change(client, "addPolicyManagementCertificate", step, "IsPresent"),
  remove: (client, step) => change(client, "removePolicyManagementCertificate", step, "IsAbsent"),
  async attest(_, step) {
    const evidence = fs.readFileSync(plan.evidence[step.type]);
    const options = { validationOptions: issuedBy(plan.issuer) };
    const { token } = await new AttestationClient(plan.issuer).attestSgxEnclave(evidence, options);
    assert.equal(token.algorithm, "RS256");
  },
};

async function change(client, method, step, outcome) {
  const { certificate } = key(step.certificate);
  const by = key(step.key);
  const { body } = await client[method](certificate, by.privateKey, by.certificate);
  assert.equal(body.certificateResolution, outcome);
  const thumbprint = crypto.createHash("sha1").update(Buffer.from(der(certificate), "hex")).digest("hex");
  assert.equal(body.certificateThumbprint, thumbprint.toUpperCase());
}

async function main() {
  for (const step of plan.steps) {
    await check(step.name, async () => {
      const call = steps[step.do](clients[step.token], step);
      if (!step.code) return call;
      await assert.rejects(call, (error) => {
        assert.deepEqual([error.name, error.statusCode, error.code], ["RestError", step.status, step.code]);
        assert.ok(error.message.includes(step.message) && error.message.length > 0, error.message);
        return true;
      });
    });
  }
  finish();
}

main();
