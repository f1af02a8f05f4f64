"""Attests as a virtual machine of Azure with nothing but the package cryptography: requests, sealed answers, and the checks of a relying party.

    python attest.py ca DIR         writes root.pem and issuer.pem, which the service has to trust
    python azure.py plan.json       attests

The plan is written by the driver of this suite (../azure_test.go).
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import guest
from attest import Checks, Refused, Service, decode, equal, read_authority
from guest import Guest
from machine import Authority, b64u, jwk, sha256


def attest(service, g):
    answer = service.fetch("/attest/AzureGuest?api-version=2020-10-01", g.body())
    equal("members of the answer", list(answer), ["token"])
    return g.open(answer["token"])


def open_token(service, token):
    """Verifies the token by the key of /certs that its header names, and gives its claims."""
    head, body, signature = token.split(".")
    header = json.loads(decode(head))
    equal("header", (header["alg"], header["typ"], header["jku"]), ("RS256", "JWT", service.url + "/certs"))
    keys = [k for k in service.fetch("/certs")["keys"] if k["kid"] == header["kid"]]
    equal("keys with the kid of the token", len(keys), 1)
    certificate = x509.load_der_x509_certificate(base64.b64decode(keys[0]["x5c"][0]))
    certificate.public_key().verify(decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(decode(body))


def check_token(service, g):
    claims = open_token(service, attest(service, g))
    key = {"kid": "TpmEphemeralEncryptionKey", "key_ops": ["encrypt"], **jwk(g.sealing_key.public_key())}
    want = {
        "iss": service.url, "x-ms-attestation-type": "azurevm", "secureboot": True, "x-ms-azurevm-attestation-protocol-ver": "2.0",
        "x-ms-azurevm-attested-pcrs": guest.FIRMWARE, "x-ms-azurevm-is-windows": False, "x-ms-azurevm-ostype": "Linux",
        "x-ms-azurevm-osdistro": "Ubuntu", "x-ms-azurevm-osbuild": "NotApplication", "x-ms-azurevm-osversion-major": 24,
        "x-ms-azurevm-osversion-minor": 4, "x-ms-azurevm-dbvalidated": False, "x-ms-azurevm-debuggersdisabled": True,
        "x-ms-runtime": {"client-payload": g.payload, "keys": [key]}}
    for name, value in want.items():
        equal(name, claims.get(name), value)
    check_isolation(g, claims.get("x-ms-isolation-tee"))


def check_isolation(g, tee):
    if g.isolation == "TrustedLaunch":
        return equal("x-ms-isolation-tee", tee, None)
    equal("x-ms-runtime of the hardware report", tee["x-ms-runtime"], json.loads(g.runtime_data))
    equal("type of the hardware report", tee["x-ms-attestation-type"], {"SevSnp": "sevsnpvm", "Tdx": "tdxvm"}[g.isolation])


def check_refused(service, g, code, reason):
    try:
        attest(service, g)
    except Refused as refused:
        equal("status and code", (refused.status, refused.code), (400, code))
        equal(f"{reason!r} in {refused.message!r}", reason in refused.message, True)
    else:
        raise AssertionError("accepted")


class Site:
    """Makes the machines of a run. They have the same keys unless they are given others."""

    def __init__(self, authority, assay, folder):
        self.authority, self.assay, self.folder = authority, assay, folder
        self.keys = guest.new_keys()

    def launched(self, authority=None, **fields):
        """A machine without hardware isolation of which a few things are other than they should be."""
        g = Guest(authority or self.authority, keys=self.keys)
        for name, value in fields.items():
            setattr(g, name, value)
        return g

    def on(self, isolation, authority=None, keys=None):
        return Guest(authority or self.authority, isolation, keys or self.keys).on(self.assay, Path(tempfile.mkdtemp(dir=self.folder)))


def accepted(site):
    yield "trusted launch", site.launched()
    yield "no payload", site.launched(payload={})
    yield "SEV-SNP", site.on("SevSnp")
    yield "TDX", site.on("Tdx")
    yield "SEV-SNP under an unknown authority of attestation keys", site.on("SevSnp", Authority())


def twice(info):
    info["TpmInfo"]["PCRs"].append(info["TpmInfo"]["PCRs"][3])


def of_another_version(info):
    info["AttestationProtocolVersion"] = "1.0"


def booted_other(info):
    log = decode(info["TcgLogs"]).replace(sha256(b"boot manager"), sha256(b"another one"))
    info["TcgLogs"] = b64u(log)


def refused(site):
    """Machines of which one thing is changed, and the check that must name it."""
    other_values = guest.policy_pcr([bytes(32)] * 24, guest.FIRMWARE)
    stranger = rsa.generate_private_key(65537, 2048)
    yield "trusted launch under an unknown authority", site.launched(Authority()), "aik-certificate"
    yield "certificate of another key", site.launched(certificate=site.authority.certify(stranger.public_key())), "aik-key"
    yield "sealing key that a password opens", site.launched(sealing_attributes=guest.SEALING_ATTRIBUTES | guest.USER_WITH_AUTH), "sealing-key"
    yield "sealing key that is imported", site.launched(sealing_attributes=guest.DECRYPT | guest.NO_DA), "sealing-key"
    yield "sealing key without a policy", site.launched(sealing_policy=b""), "sealing-policy"
    yield "sealing key for other values of the PCRs", site.launched(sealing_policy=other_values), "sealing-policy"
    yield "sealing key that another key certifies", site.launched(certifier=stranger), "attest-signature"
    yield "quote of another nonce", site.launched(extra_data=b"other", payload={"nonce": "bm9uY2U"}), "attest-nonce"
    yield "one PCR twice", site.launched(changed=twice), "pcr-selection"
    yield "a log with another boot manager", site.launched(changed=booted_other), "event-log-replay"
    yield "an unknown version of the protocol", site.launched(changed=of_another_version), "guest-protocol"
    moved = site.on("SevSnp")
    moved.runtime_data = moved.runtime_data.replace(b'"user-data":"0', b'"user-data":"1')
    yield "changed runtime data", moved, "runtime-data"
    lent = site.on("SevSnp")
    lent.proof, lent.runtime_data = (g := site.on("SevSnp", keys=guest.new_keys())).proof, g.runtime_data
    yield "the hardware report of another machine", lent, "ak-binding"


def main():
    plan = json.loads(Path(sys.argv[1]).read_text())
    service, authority, checks = Service(plan), read_authority(Path(plan["authority"])), Checks()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(authority, plan["assay"], folder)
        for name, g in accepted(site):
            checks.run(name, check_token, service, g)
        for name, g, reason in refused(site):
            checks.run(name + " is refused", check_refused, service, g, "InvalidParameter", reason)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
