"""Attests with Microsoft's Python client, as a relying party would that checks the issuer.

    REQUESTS_CA_BUNDLE=ca.pem python attest.py plan.json

The plan is written by the driver of this suite (../internal/plan).
"""

import base64
import json
import subprocess
import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.security.attestation import AttestationClient, AttestationTokenValidationException

from suite import Checks, equal, read


class Credential:
    """The client insists on a credential. Of the attest routes only the one for TPMs looks at it."""

    def __init__(self, token="none"):
        self.token = token

    def get_token(self, *scopes, **kwargs):
        return AccessToken(self.token, int(time.time()) + 3600)


def connect(endpoint, issuer):
    return AttestationClient(endpoint, Credential(), validate_issuer=True, issuer=issuer)


def client_side_refusal(call):
    """The client parses JSON before it sends it, and unlike the service takes no NUL at its end."""
    return call["runtimeType"] == "JSON" and read(call["runtimeData"]).endswith(b"\0")


def attest(client, call):
    options = {}
    if call["runtimeData"]:
        name = "runtime_json" if call["runtimeType"] == "JSON" else "runtime_data"
        options[name] = read(call["runtimeData"])
    if call["draft"]:
        options["draft_policy"] = call["draft"]
    operation = client.attest_open_enclave if call["type"] == "OpenEnclave" else client.attest_sgx_enclave
    return operation(read(call["evidence"]), **options)


def check_metadata(client, issuer):
    metadata = client.get_open_id_metadata()
    equal("issuer", metadata["issuer"], issuer)
    equal("jwks_uri", metadata["jwks_uri"], issuer + "/certs")


def check_signers(client):
    signers = client.get_signing_certificates()
    equal("signers are listed", len(signers) > 0, True)
    for signer in signers:
        equal("signer has key id and certificate", bool(signer.key_id and signer.certificates), True)


def check_token(client, call, issuer):
    result, token = attest(client, call)
    equal("algorithm", token.algorithm, "none" if call["draft"] else "RS256")
    equal("issuer", result.issuer, issuer)
    if call["draft"]:
        return
    equal("mrenclave", result.mr_enclave, call["mrEnclave"])
    if call["runtimeType"] == "Binary":
        equal("enclave held data", result.enclave_held_data, read(call["runtimeData"]))
    if call["runtimeType"] == "JSON":
        equal("runtime claims", result.runtime_claims, json.loads(read(call["runtimeData"])))


def check_refusal(client, call):
    try:
        attest(client, call)
    except HttpResponseError as refusal:
        equal("status", refusal.status_code, 400)
        equal("code", refusal.error.code, call["code"])
        equal("message is there", bool(refusal.error.message), True)
    else:
        raise AssertionError("accepted")


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_tpm(issuer, tpm):
    """attest_tpm carries the messages of the TPM protocol; what is in them is the machine's business."""
    client = AttestationClient(issuer, Credential(tpm["token"]))
    challenge = client.attest_tpm(tpm["first"])
    body = json.dumps({"data": b64url(challenge.encode())}).encode()
    second = json.loads(subprocess.run(tpm["command"], input=body, stdout=subprocess.PIPE, check=True).stdout)
    answer = json.loads(client.attest_tpm(unb64url(second["data"]).decode()))
    claims = json.loads(unb64url(answer["payload"]["report"].split(".")[1]))
    equal("issuer", claims["iss"], issuer)
    equal("secure boot", claims["secureBootEnabled"], True)


def check_invalid(client, call, reason):
    try:
        attest(client, call)
    except AttestationTokenValidationException as invalid:
        equal(f"{reason!r} in {invalid}", reason in str(invalid), True)
    else:
        raise AssertionError("accepted")


def main():
    plan = json.loads(read(sys.argv[1]))
    issuer, cases = plan["issuer"], plan["cases"]
    client = connect(issuer, issuer)
    checks = Checks()
    checks.run("metadata names issuer and keys", check_metadata, client, issuer)
    checks.run("signers are listed", check_signers, client)
    for call in cases:
        if client_side_refusal(call):
            print(f"skip  {call['name']}: the client does not send JSON that ends in NUL")
        elif call["code"]:
            checks.run(call["name"], check_refusal, client, call)
        else:
            checks.run(call["name"], check_token, client, call, issuer)
    if plan["tpm"]:
        checks.run("both messages of an attestation by TPM", check_tpm, issuer, plan["tpm"])
    stranger = connect(issuer, "https://issuer.example")
    checks.run("token of another issuer is refused", check_invalid, stranger, cases[0], "is not the expected issuer")
    tampered = connect(plan["tampering"], issuer)
    checks.run("token with a bad signature is refused", check_invalid, tampered, cases[0], "verify signature")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
