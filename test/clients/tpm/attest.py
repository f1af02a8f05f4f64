"""Attests by TPM with nothing but the package cryptography: both rounds of the protocol, and the checks of a relying party.

    python attest.py ca DIR          writes root.pem and issuer.pem, which the service has to trust
    python attest.py run plan.json   attests

The plan is written by the driver of this suite (../tpm_test.go).
"""

import base64
import json
import ssl
import sys
import traceback
import urllib.error
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import machine
from machine import AIK, Authority, Machine, b64u, jwk


def write_authority(folder):
    """Keeps the keys of the authority for the next run."""
    authority = Authority()
    for name, certificate in (("root", authority.root), ("issuer", authority.intermediate)):
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "issuer.key").write_bytes(authority.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def read_authority(folder):
    authority = Authority.__new__(Authority)
    authority.root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    authority.intermediate = x509.load_pem_x509_certificate((folder / "issuer.pem").read_bytes())
    authority.key = serialization.load_pem_private_key((folder / "issuer.key").read_bytes(), None)
    return authority


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refused(Exception):
    """The error body of the service."""

    def __init__(self, status, error):
        super().__init__(f"{status} {error}")
        self.status, self.code, self.message = status, error["code"], error["message"]


class Service:
    def __init__(self, plan):
        self.url, self.token = plan["issuer"], plan["token"]
        self.tls = ssl.create_default_context(cafile=plan["ca"])

    def fetch(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"Authorization": "Bearer " + self.token} if self.token else {})}
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.load(error)["error"]) from None

    def exchange(self, message, wrapped):
        text = json.dumps({"payload": message} if wrapped else message)
        answer = self.fetch("/attest/Tpm?api-version=2022-08-01", {"data": b64u(text.encode())})
        inner = json.loads(decode(answer["data"]))
        equal("the answer has the wrapper of the message", "payload" in inner, wrapped)
        return inner["payload"] if wrapped else inner

    def attest(self, m, wrapped=True):
        first = self.exchange({"type": "aikcert"}, wrapped)
        challenge = decode(first["challenge"])
        equal("bytes of the challenge", len(challenge), 16)
        return self.exchange({"request": m.request(challenge, first["service_context"])}, wrapped)["report"]


def equal(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def open_report(service, report):
    """Verifies the report by the chain in its header and gives its claims."""
    head, body, signature = report.split(".")
    header, claims = json.loads(decode(head)), json.loads(decode(body))
    equal("algorithm", (header["alg"], header["typ"]), ("RS256", "JWT"))
    chain = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in header["x5c"]]
    for lower, upper in zip(chain, chain[1:]):
        lower.verify_directly_issued_by(upper)
    if len(chain) < 2:
        raise AssertionError("the signing certificate comes without the CA that issued it")
    chain[0].public_key().verify(decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    listed = [x509.load_der_x509_certificate(base64.b64decode(k["x5c"][0])).public_key().public_numbers()
              for k in service.fetch("/certs")["keys"]]
    equal("the service lists the key of the report", chain[0].public_key().public_numbers() in listed, True)
    return claims


def check_report(service, m, wrapped):
    claims = open_report(service, service.attest(m, wrapped))
    want = {
        "iss": service.url, "rp_data": m.rp_data, "nonce": m.rp_data, "ver": "1.0", "x-ms-ver": "1.0", "cnf": {"jwk": jwk(m.request_key.public_key())},
        "aikValidated": True, "secureBootEnabled": True, "bootDebuggingDisabled": True, "vbsEnabled": True, "vbsReportPresent": m.vbs,
        "language": "python"}
    for name, value in want.items():
        equal(name, claims.get(name), value)
    equal("nbf", claims["iat"] - claims["nbf"], 300)
    equal("enclaveSvn", claims.get("enclaveSvn"), 9 if m.vbs else None)
    check_keys(m, claims)
    check_events(claims["events"])


def check_keys(m, claims):
    key = claims.get("x-ms-tpm-request-key")
    if m.version == 1:
        return equal("request key", key, None)
    equal("request key", key["jwk"], jwk(m.request_key.public_key()))
    if not m.certify:
        return equal("binding", key["info"], {"tpm_quote": {"hash_alg": "sha-256"}})
    info = {"tpm_certify": {"name_alg": machine.SHA256, "obj_attr": 0x00040072}}
    equal("binding", key["info"], info)
    equal("other keys", claims["x-ms-tpm-other-keys"], [{"jwk": jwk(m.other_key.public_key()), "info": info}])


def check_events(events):
    events = (json.loads(events) if isinstance(events, str) else events)["Events"]
    boundary = [e["ProcessedData"]["EVENT_TRUSTBOUNDARY"] for e in events if e["EventType"] == 6]
    equal("settings", [(b["EVENT_BOOTDEBUGGING"], b["EVENT_CODEINTEGRITY"], b["EVENT_APPLICATION_SVN"]) for b in boundary], [(False, True, 3)])
    variable = next(e["ProcessedData"] for e in events if e["EventTypeString"] == "EV_EFI_VARIABLE_DRIVER_CONFIG")
    equal("variable", variable, {"VariableGuid": "8BE4DF61-93CA-11D2-AA0D-00E098032B8C", "UnicodeName": "SecureBoot", "VariableData": "AQ"})


def check_refused(service, m, code, reason):
    try:
        service.attest(m)
    except Refused as refused:
        equal("status and code", (refused.status, refused.code), (400, code))
        equal(f"{reason!r} in {refused.message!r}", reason in refused.message, True)
    else:
        raise AssertionError("accepted")


def broken(m, part, change):
    m.changed = lambda name, value: change(value) if name == part else value
    return m


def accepted(authority):
    yield "version 1, basic", Machine(authority, version=1), True
    yield "version 1, VBS", Machine(authority, version=1, vbs=True), True
    yield "version 2, basic, key bound by the quote", Machine(authority), True
    yield "the same without the wrapper", Machine(authority), False
    yield "version 2, basic, certified keys", Machine(authority, certify=True), True
    yield "version 2, VBS", Machine(authority, vbs=True), True
    yield "AIK that signs with PSS", Machine(authority, AIK(pss=True)), True
    yield "AIK on P-256", Machine(authority, AIK(ec.generate_private_key(ec.SECP256R1())), certify=True), True


def refused(authority):
    yield "secure boot off", Machine(authority, secure_boot=False), "PolicyEvaluationError", ""
    yield "space in the jwk", broken(Machine(authority), "jwk", lambda t: "{ " + t[1:]), "InvalidParameter", "attest-nonce"
    yield ("space in report_signed", broken(Machine(authority, vbs=True), "report_signed", lambda t: "{ " + t[1:]),
           "InvalidParameter", "vbs-binding")
    yield ("changed log", broken(Machine(authority), "log", lambda b: b.replace(machine.sha256(b"boot manager"), bytes(32))),
           "InvalidParameter", "event-log-replay")
    yield "AIK of an unknown authority", Machine(Authority()), "InvalidParameter", "aik-certificate"


class Checks:
    """Counts the outcomes and prints one line for each."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, *args):
        try:
            check(*args)
        except Exception:
            self.failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}")
        else:
            self.passed += 1
            print(f"ok    {name}")


def main():
    if sys.argv[1] == "ca":
        return write_authority(Path(sys.argv[2]))
    plan = json.loads(Path(sys.argv[2]).read_text())
    service, authority, checks = Service(plan), read_authority(Path(plan["authority"])), Checks()
    for name, m, wrapped in accepted(authority):
        checks.run(name, check_report, service, m, wrapped)
    for name, m, code, reason in refused(authority):
        checks.run(name + " is refused", check_refused, service, m, code, reason)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
