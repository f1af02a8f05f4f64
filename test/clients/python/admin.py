"""Manages policies and signers with Microsoft's Python client.

    REQUESTS_CA_BUNDLE=ca.pem python admin.py plan.json

The plan is written by the driver of this suite (../internal/plan).
"""

import hashlib
import json
import ssl
import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.security.attestation import AttestationAdministrationClient, AttestationClient, AttestationPolicyToken

from suite import Checks, equal, read


class Bearer:
    """A credential that is one token."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **kwargs):
        return AccessToken(self.token, int(time.time()) + 3600)


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem)


class Suite:
    """The steps, each of which makes one call and says what its answer must be."""

    def __init__(self, plan):
        self.plan = plan
        options = {"validate_issuer": True, "issuer": plan["issuer"]}
        self.clients = {
            name: AttestationAdministrationClient(plan["issuer"], Bearer(token), **options)
            for name, token in plan["tokens"].items()
        }
        self.attester = AttestationClient(plan["issuer"], Bearer("none"), **options)

    def certificate(self, name):
        return read(self.plan["keys"][name]["certificate"]).decode()

    def signing(self, step):
        if not step["key"]:
            return {}
        key = read(self.plan["keys"][step["key"]]["key"]).decode()
        return {"signing_key": key, "signing_certificate": self.certificate(step["key"])}

    def get(self, client, step):
        policy, _ = client.get_policy(step["type"])
        equal("policy", policy, step["policy"])

    def set(self, client, step):
        signing = self.signing(step)
        result, _ = client.set_policy(step["type"], step["policy"], **signing)
        equal("result", result.policy_resolution, "Updated")
        sent = AttestationPolicyToken(step["policy"], **signing).to_jwt_string()  # the same again, letter by letter
        equal("token hash", result.policy_token_hash, hashlib.sha256(sent.encode()).digest())
        signers = result.policy_signer.certificates if result.policy_signer else []
        equal("signer", [der(c) for c in signers], [der(self.certificate(step["key"]))] if step["key"] else [])

    def reset(self, client, step):
        result, _ = client.reset_policy(step["type"], **self.signing(step))
        equal("result", result.policy_resolution, "Removed")

    def list(self, client, step):
        chains, _ = client.get_policy_management_certificates()
        wanted = [[der(self.certificate(name))] for name in step["signers"] or []]
        equal("signers", [[der(c) for c in chain] for chain in chains], wanted)

    def add(self, client, step):
        self.change(client.add_policy_management_certificate, step, "IsPresent")

    def remove(self, client, step):
        self.change(client.remove_policy_management_certificate, step, "IsAbsent")

    def change(self, operation, step, outcome):
        certificate = self.certificate(step["certificate"])
        result, _ = operation(certificate, **self.signing(step))
        equal("result", result.certificate_resolution, outcome)
        equal("thumbprint", result.certificate_thumbprint, hashlib.sha1(der(certificate)).hexdigest().upper())

    def attest(self, _, step):
        _, token = self.attester.attest_sgx_enclave(read(self.plan["evidence"][step["type"]]))
        equal("algorithm", token.algorithm, "RS256")

    def run(self, step):
        call = getattr(self, step["do"])
        client = self.clients[step["token"]]
        if step["key"] and self.plan["keys"][step["key"]]["kind"] == "EC":
            self.check_no_curves(call, client, step)
            return
        if not step["code"]:
            call(client, step)
            return
        try:
            call(client, step)
        except HttpResponseError as refusal:
            equal("status", refusal.status_code, step["status"])
            equal("code", refusal.error.code, step["code"])
            equal(f"{step['message']!r} in {refusal.error.message!r}", step["message"] in refusal.error.message, True)
            equal("message is there", bool(refusal.error.message), True)
        else:
            raise AssertionError("accepted")

    def check_no_curves(self, call, client, step):
        """The client fails before it sends anything: it calls the signature of a key on a curve as that of an RSA key."""
        try:
            call(client, step)
        except TypeError as error:
            equal(f"signature in {error}", "algorithm" in str(error), True)
        else:
            raise AssertionError("accepted")


def main():
    plan = json.loads(read(sys.argv[1]))
    suite, checks = Suite(plan), Checks()
    for step in plan["steps"]:
        checks.run(step["name"], suite.run, step)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
