// Manages providers with Microsoft's JavaScript client of the resource manager, in every operation that it has.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node arm.cjs plan.json
//
// The plan is written by the driver (../arm_test.go): {package, url, token, certificate}.
const assert = require("node:assert/strict");
const fs = require("node:fs");

const plan = JSON.parse(fs.readFileSync(process.argv[2]));
const { AttestationManagementClient } = require(plan.package);
const subscription = "6c96b33e-f5b8-40a6-9011-5cb1c58b0915";
const group = "Group-1";
const newest = plan.package !== "@azure/arm-attestation"; // 2021-06-01 and not 2020-10-01

let passed = 0;
let failed = 0;

async function check(name, run) {
  try {
    await run();
    passed++;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}: ${error?.stack ?? error}`);
  }
}

function clientWith(token, scopes = []) {
  const credential = {
    getToken: async (scope) => {
      scopes.push(...[scope].flat());
      return { token, expiresOnTimestamp: Date.now() + 3600e3 };
    },
  };
  return new AttestationManagementClient(credential, subscription, {
    endpoint: plan.url,
    retryOptions: { maxRetries: 0 },
  });
}

function refused(status, code) {
  return (error) => {
    assert.deepEqual([error.name, error.statusCode, error.code], ["RestError", status, code]);
    assert.ok(error.message.length > 0);
    return true;
  };
}

const names = (list) => list.map((provider) => provider.name);

async function json(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  return answer.json();
}

function checkProvider(provider, name, trustModel, tags) {
  assert.equal(provider.name, name);
  assert.equal(provider.type, "Microsoft.Attestation/attestationProviders");
  const scope = `/subscriptions/${subscription}/resourceGroups/${group}/providers`;
  assert.equal(provider.id, `${scope}/Microsoft.Attestation/attestationProviders/${name}`);
  assert.equal(provider.location, "local");
  assert.equal(provider.trustModel, trustModel);
  assert.equal(provider.status, "Ready");
  assert.deepEqual(provider.tags, tags);
  assert.deepEqual(provider.privateEndpointConnections, []);
  assert.ok(provider.systemData.createdAt instanceof Date);
  assert.ok(!provider.attestUri.endsWith("/"));
}

async function checkInService(provider) {
  const metadata = await json(`${provider.attestUri}/.well-known/openid-configuration`);
  assert.equal(metadata.issuer, provider.attestUri);
  const { keys } = await json(metadata.jwks_uri);
  assert.ok(keys.length > 0);
  return keys[0].kid;
}

async function providers(client) {
  const all = client.attestationProviders;
  const kids = new Set();
  const signers = { keys: [{ kty: "RSA", alg: "RS256", use: "sig", x5C: [plan.certificate] }] };
  const isolated = { location: "Local", properties: { policySigningCertificates: signers } };

  await check("create: without signers it is AAD", async () => {
    const made = await all.create(group, "first", { location: "local", tags: { Env: "Test" }, properties: {} });
    checkProvider(made, "first", "AAD", { Env: "Test" });
    kids.add(await checkInService(made));
  });
  await check("create: with signers it is Isolated", async () => {
    const made = await all.create(group, "second", isolated);
    checkProvider(made, "second", "Isolated", undefined);
    kids.add(await checkInService(made));
  });
  await check("each provider has keys of its own", async () => {
    const [home] = (await json(`${plan.url}/certs`)).keys;
    assert.equal(kids.add(home.kid).size, 3);
  });
  await check("create: once more changes nothing", async () => {
    checkProvider(await all.create(group, "second", isolated), "second", "Isolated", undefined);
  });
  await check("create: what is fixed stays", async () => {
    const other = { location: "local", properties: { policySigningCertificates: signers } };
    await assert.rejects(all.create(group, "first", other), refused(409, "Conflict"));
    await assert.rejects(all.create(group, "first", { location: "mars", properties: {} }), refused(409, "Conflict"));
    await assert.rejects(all.create("other-group", "first", { location: "local", properties: {} }), refused(409, "Conflict"));
  });
  await check("create: no such name", async () => {
    await assert.rejects(all.create(group, "x_y", { location: "local", properties: {} }), refused(400, "InvalidParameter"));
  });
  await check("get", async () => {
    checkProvider(await all.get(group, "first"), "first", "AAD", { Env: "Test" });
    await assert.rejects(all.get(group, "nobody"), refused(404, "NotFound"));
    await assert.rejects(all.get("other-group", "first"), refused(404, "NotFound"));
  });
  await check("update", async () => {
    checkProvider(await all.update(group, "first", { tags: { a: "b" } }), "first", "AAD", { a: "b" });
    await assert.rejects(all.update(group, "nobody", { tags: {} }), refused(404, "NotFound"));
  });
  if (newest) {
    await check("update: the switches", async () => {
      assert.equal((await all.get(group, "second")).tpmAttestationAuthentication, null);
      await all.update(group, "second", { properties: { tpmAttestationAuthentication: "Disabled" } });
      const now = await all.get(group, "second");
      assert.deepEqual([now.publicNetworkAccess, now.tpmAttestationAuthentication], [null, "Disabled"]);
    });
  }
  await check("list and listByResourceGroup", async () => {
    await all.create("group-2", "third", { location: "local", properties: {} });
    assert.deepEqual(names((await all.list()).value), ["first", "second", "third"]);
    assert.deepEqual(names((await all.listByResourceGroup(group)).value), ["first", "second"]);
    assert.deepEqual(names((await all.listByResourceGroup("none")).value), []);
  });
  await check("listDefault and getDefaultByLocation", async () => {
    assert.deepEqual(names((await all.listDefault()).value), ["default"]);
    assert.equal((await all.getDefaultByLocation("Local")).attestUri, plan.url);
    await assert.rejects(all.getDefaultByLocation("Central US"), refused(404, "NotFound"));
  });
}

async function connections(client) {
  const all = client.privateEndpointConnections;
  await check("privateEndpointConnections", async () => {
    const list = [];
    for await (const connection of all.list(group, "first")) list.push(connection);
    assert.deepEqual(list, []);
    await assert.rejects(all.get(group, "first", "x"), refused(404, "NotFound"));
    const approved = { privateLinkServiceConnectionState: { status: "Approved" } };
    await assert.rejects(all.create(group, "first", "x", approved), refused(400, "InvalidOperation"));
    await all.delete(group, "first", "x");
  });
  if (newest) {
    await check("privateLinkResources", async () => {
      const { value } = await client.privateLinkResources.listByProvider(group, "first");
      const { groupId, requiredMembers } = value[0].properties;
      assert.deepEqual([value.length, groupId, requiredMembers], [1, "standard", ["default"]]);
    });
  }
}

async function main() {
  const scopes = [];
  const client = clientWith(plan.token, scopes);
  await check("operations", async () => {
    const { value } = await client.operations.list();
    assert.equal(value.length, 3);
    for (const operation of value) assert.ok(operation.name && operation.display.operation);
  });
  await check("the token is asked for under the URL of the service, or that of Azure's own", () => {
    const audience = newest ? "https://management.azure.com" : plan.url;
    assert.deepEqual([...new Set(scopes)], [`${audience}/.default`]);
  });
  await providers(client);
  await connections(client);
  await check("a forged token is refused", () =>
    assert.rejects(clientWith(`${plan.token}x`).attestationProviders.get(group, "first"), refused(401, "Unauthorized")));
  await check("delete", async () => {
    const { attestUri } = await client.attestationProviders.get(group, "first");
    for (const name of ["first", "second", "first"]) await client.attestationProviders.delete(group, name);
    await client.attestationProviders.delete("group-2", "third");
    assert.deepEqual((await client.attestationProviders.list()).value, []);
    await assert.rejects(json(`${attestUri}/certs`));
  });
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

main();
