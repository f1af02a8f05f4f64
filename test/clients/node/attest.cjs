// Attests with Microsoft's JavaScript client, as a relying party would that checks the issuer.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node attest.cjs plan.json
//
// The plan is written by the driver of this suite (../internal/plan).
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { AttestationClient } = require("@azure/attestation");

const { check, finish, issuedBy } = require("./suite.cjs");

const plan = JSON.parse(fs.readFileSync(process.argv[2]));

function attest(client, call, issuer) {
  const options = { validationOptions: issuedBy(issuer) };
  if (call.runtimeData) {
    const name = call.runtimeType === "JSON" ? "runTimeJson" : "runTimeData";
    options[name] = fs.readFileSync(call.runtimeData);
  }
  if (call.draft) options.draftPolicyForAttestation = call.draft;
  const evidence = fs.readFileSync(call.evidence);
  return call.type === "OpenEnclave"
    ? client.attestOpenEnclave(evidence, options)
    : client.attestSgxEnclave(evidence, options);
}

function checkToken(call, { token, body }) {
  assert.equal(token.algorithm, call.draft ? "none" : "RS256");
  assert.equal(body.issuer, plan.issuer);
  if (call.draft) return;
  assert.equal(body.mrEnclave, call.mrEnclave);
  if (call.runtimeType === "Binary") {
    assert.deepEqual(Buffer.from(body.enclaveHeldData), fs.readFileSync(call.runtimeData));
  }
  if (call.runtimeType === "JSON") {
    const text = fs.readFileSync(call.runtimeData, "utf8").replace(/\0$/, "");
    assert.deepEqual(body.runTimeClaims, JSON.parse(text));
  }
}

// attestTpm carries the messages of the TPM protocol; what is in them is the machine's business.
async function checkTpm({ token, first, command }) {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600e3 }) };
  const client = new AttestationClient(plan.issuer, credential);
  const challenge = await client.attestTpm(first);
  const input = JSON.stringify({ data: Buffer.from(challenge).toString("base64url") });
  const second = JSON.parse(execFileSync(command[0], command.slice(1), { input }));
  const answer = JSON.parse(await client.attestTpm(Buffer.from(second.data, "base64url").toString()));
  const claims = JSON.parse(Buffer.from(answer.payload.report.split(".")[1], "base64url").toString());
  assert.equal(claims.iss, plan.issuer);
  assert.equal(claims.secureBootEnabled, true);
}

async function main() {
  const client = new AttestationClient(plan.issuer);

  await check("metadata names issuer and keys", async () => {
    const metadata = await client.getOpenIdMetadata();
    assert.equal(metadata.issuer, plan.issuer);
    assert.equal(metadata.jwks_uri, `${plan.issuer}/certs`);
  });
  await check("signers are listed", async () => {
    const signers = await client.getAttestationSigners();
    assert.ok(signers.length > 0);
    for (const signer of signers) assert.ok(signer.keyId && signer.certificates.length > 0);
  });

  for (const call of plan.cases) {
    await check(call.name, async () => {
      if (!call.code) return checkToken(call, await attest(client, call, plan.issuer));
      await assert.rejects(attest(client, call, plan.issuer), (error) => {
        assert.deepEqual([error.name, error.statusCode, error.code], ["RestError", 400, call.code]);
        assert.ok(error.message.length > 0);
        return true;
      });
    });
  }

  if (plan.tpm) await check("both messages of an attestation by TPM", () => checkTpm(plan.tpm));

  const first = plan.cases[0];
  await check("token of another issuer is refused", () =>
    assert.rejects(attest(client, first, "https://issuer.example"), /expected issuer: https:\/\/issuer\.example/));
  await check("token with a bad signature is refused", () =>
    assert.rejects(attest(new AttestationClient(plan.tampering), first, plan.issuer), /not properly signed/));

  finish();
}

main();
