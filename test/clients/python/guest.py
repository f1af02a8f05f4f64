"""Attests confidential VMs with the requests of two programs that run inside them, written anew from clients.md sections 10.3 and
11.5: the tools for confidential VMs (Azure/cvm-attestation-tools) and the sidecar of confidential containers
(microsoft/confidential-sidecar-containers). Tokens are verified by Microsoft's Python client, with the keys that it reads.

    REQUESTS_CA_BUNDLE=ca.pem python guest.py plan.json

The plan is written by the driver of this suite (../internal/plan).
"""

import base64
import json
import sys
import time

import requests
from azure.core.credentials import AccessToken
from azure.security.attestation import AttestationClient, AttestationToken

from suite import Checks, equal, read

# Beyond 2^63, and no number that a float can hold.
NONCE = 18446744073709551557


class Credential:
    """The client insists on one, which the service does not look at where keys are read."""

    def get_token(self, *scopes, **kwargs):
        return AccessToken("none", int(time.time()) + 3600)


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(f"{answer.status_code} {answer.text}")
        self.status, self.error = answer.status_code, answer.json()["error"]


def padded(data):
    return base64.urlsafe_b64encode(data).decode()


def unpadded(data):
    return padded(data).rstrip("=")


def guest_report(call, evidence, encode):
    document = {"SnpReport": encode(evidence), "VcekCertChain": encode(read(call["chain"]))}
    if encode is padded and call["endorsement"]:
        endorsements = json.dumps({"Uvm": [encode(read(call["endorsement"]))]})
        document["Endorsements"] = encode(endorsements.encode())
    return encode(json.dumps(document, separators=(",", ":")).encode())


def runtime_data(call, encode):
    data = read(call["runtimeData"]) if call["runtimeData"] else b""
    return {"data": encode(data), "dataType": "JSON"}


def tools(call, evidence):
    """The request of the tools: base64url without padding, path as their configuration spells it."""
    if call["type"] == "TdxVm":
        body = {"quote": unpadded(evidence), "runtimeData": runtime_data(call, unpadded)}
        return "/attest/TdxVm?api-version=2023-04-01-preview", body
    body = {"report": guest_report(call, evidence, unpadded), "runtimeData": runtime_data(call, unpadded)}
    return "/attest/SevSnpVm?api-version=2022-08-01", body


def sidecar(call, evidence):
    """The request of the sidecar: with padding, always with init data that is empty, and with a number as nonce."""
    body = {
        "report": guest_report(call, evidence, padded), "runtimeData": runtime_data(call, padded),
        "initTimeData": {"data": "", "dataType": ""}, "nonce": NONCE,
    }
    return "/attest/SevSnpVM?api-version=2020-10-01", body


def attest(issuer, path, body):
    answer = requests.post(issuer + path, data=json.dumps(body), headers={"Content-Type": "application/json"}, timeout=30)
    if answer.status_code != 200:
        raise Refused(answer)
    return answer.json()["token"]


def verified(client, issuer, text):
    """The claims of a token that one of the keys of the service signed, as Microsoft's client reads both."""
    token = AttestationToken(token=text)
    token._validate_token(client.get_signing_certificates(), validate_issuer=True, issuer=issuer)
    equal("algorithm", token.algorithm, "RS256")
    return token._get_body()


def check_token(client, issuer, call, dialect):
    claims = verified(client, issuer, attest(issuer, *dialect(call, read(call["evidence"]))))
    for name, value in call["claims"].items():
        if name == "x-ms-compliance-status" and dialect is tools:
            value = None  # they send no endorsements
        equal(name, claims.get(name), value)
    equal("nonce", claims.get("nonce"), str(NONCE) if dialect is sidecar else None)
    equal("x-ms-inittime", claims.get("x-ms-inittime"), None)


def check_refused(issuer, call, dialect, change, reason):
    try:
        path, body = dialect(call, change(read(call["evidence"])))
        attest(issuer, path, body)
    except Refused as refused:
        equal("status and code", (refused.status, refused.error["code"]), (400, "InvalidParameter"))
        equal(f"{reason!r} in {refused.error['message']!r}", reason in refused.error["message"], True)
    else:
        raise AssertionError("accepted")


def unbound(dialect):
    """The dialect with runtime data that the evidence does not vouch for."""
    def request(call, evidence):
        path, body = dialect(call, evidence)
        body["runtimeData"]["data"] = padded(b'{"other":1}')
        return path, body
    return request


def flipped(evidence):
    """One bit changed: of the launch measurement in a report or, behind the header, of MRTD in a quote."""
    at = 0x90 if len(evidence) == 1184 else 48 + 136
    return evidence[:at] + bytes([evidence[at] ^ 1]) + evidence[at + 1:]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    issuer, checks = plan["issuer"], Checks()
    client = AttestationClient(issuer, Credential())
    for call in plan["cases"]:
        if not call["evidence"]:
            continue  # a recorded body, which is as it is
        signature = "quote-signature" if call["type"] == "TdxVm" else "snp-signature"
        for dialect in (tools,) if call["type"] == "TdxVm" else (tools, sidecar):
            name = f"{dialect.__name__}: {call['name']}"
            checks.run(name, check_token, client, issuer, call, dialect)
            checks.run(f"{name} with one bit changed is refused", check_refused, issuer, call, dialect, flipped, signature)
            checks.run(f"{name} with other runtime data is refused", check_refused, issuer, call, unbound(dialect), bytes, "runtime-data")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
