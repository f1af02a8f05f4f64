"""A machine with a TPM, in software: its keys and their certificates, its log, quotes and certifications, and requests of the TPM
protocol. Written from the specification alone; it shares nothing with the service or its simulated vendor."""

import base64
import datetime
import hashlib
import json
import struct
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID, ObjectIdentifier

SHA256, SHA384 = 0x000B, 0x000C  # TPM_ALG_ID
RSASSA, RSAPSS, ECDSA, NULL = 0x0014, 0x0016, 0x0018, 0x0010
PCRS = 24

GLOBAL = "61dfe48bca93d211aa0d00e098032b8c"  # GUIDs as they lie in memory
IMAGE = "cbb219d73a3d9645a3bcdad00e67656f"
X509 = "a159c0a5e494a74a87b5ab155c2bf072"
OWNER = "11" * 16


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sized16(data):
    return struct.pack(">H", len(data)) + data


def compact(value):
    return json.dumps(value, separators=(",", ":"))


# Keys and certificates.


class Authority:
    """Certifies attestation keys: a root and an intermediate that signs."""

    def __init__(self):
        self.root_key = ec.generate_private_key(ec.SECP384R1())
        self.key = rsa.generate_private_key(65537, 2048)
        self.root = self._ca("Python AIK root", "Python AIK root", self.root_key.public_key(), self.root_key, 1)
        self.intermediate = self._ca("Python AIK issuer", "Python AIK root", self.key.public_key(), self.root_key, 0)

    @staticmethod
    def _builder(public):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1)))

    @staticmethod
    def _name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def _ca(self, subject, issuer, public, signer, depth):
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (self._builder(public).subject_name(self._name(subject)).issuer_name(self._name(issuer))
                .add_extension(x509.BasicConstraints(True, depth), True).add_extension(usage, True).sign(signer, hashes.SHA384()))

    def certify(self, public):
        """The DER certificate of an attestation key: no subject, a critical alternative name with the data of the TPM."""
        tpm = x509.Name([x509.NameAttribute(ObjectIdentifier(f"2.23.133.2.{i + 1}"), text)
                         for i, text in enumerate(["id:50590000", "python", "id:00000001"])])
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        certificate = (self._builder(public).subject_name(x509.Name([])).issuer_name(self._name("Python AIK issuer"))
                       .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(tpm)]), True)
                       .add_extension(x509.ExtendedKeyUsage([ObjectIdentifier("2.23.133.8.3")]), False)
                       .add_extension(usage, True).sign(self.key, hashes.SHA256()))
        return certificate.public_bytes(serialization.Encoding.DER)


def jwk(public):
    n = public.public_numbers()
    if isinstance(public, rsa.RSAPublicKey):
        return {"kty": "RSA", "n": b64u(n.n.to_bytes(public.key_size // 8, "big")), "e": b64u(n.e.to_bytes(3, "big"))}
    size = public.key_size // 8
    return {"kty": "EC", "crv": f"P-{public.key_size}", "x": b64u(n.x.to_bytes(size, "big")), "y": b64u(n.y.to_bytes(size, "big"))}


def public_area(public):
    """TPMT_PUBLIC of a key that a TPM made: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, sign."""
    n = public.public_numbers()
    if isinstance(public, rsa.RSAPublicKey):
        head, parameters = 0x0001, struct.pack(">HHHI", NULL, NULL, public.key_size, 0)
        unique = sized16(n.n.to_bytes(public.key_size // 8, "big"))
    else:
        size = public.key_size // 8
        head, parameters = 0x0023, struct.pack(">HHHH", NULL, NULL, {256: 3, 384: 4}[public.key_size], NULL)
        unique = sized16(n.x.to_bytes(size, "big")) + sized16(n.y.to_bytes(size, "big"))
    return struct.pack(">HHI", head, SHA256, 0x00040072) + sized16(b"") + parameters + unique


def key_name(area):
    return struct.pack(">H", SHA256) + sha256(area)


@dataclass
class AIK:
    """An attestation key and how it signs."""

    key: object = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    pss: bool = False

    def sign(self, message):
        """TPMT_SIGNATURE."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            size = self.key.key_size // 8
            r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
            return struct.pack(">HH", ECDSA, SHA256) + sized16(r.to_bytes(size, "big")) + sized16(s.to_bytes(size, "big"))
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH) if self.pss else padding.PKCS1v15()
        signature = self.key.sign(message, scheme, hashes.SHA256())
        return struct.pack(">HH", RSAPSS if self.pss else RSASSA, SHA256) + sized16(signature)


def attest(kind, extra_data, attested):
    """TPMS_ATTEST."""
    clock = struct.pack(">QIIB", 1_000_000, 7, 0, 1)
    return (struct.pack(">IH", 0xFF544347, kind) + sized16(b"\x00\x0b" + bytes(32)) + sized16(extra_data) + clock
            + struct.pack(">Q", 1) + attested)


def quote(pcrs, selected, extra_data):
    bitmap = bytearray(3)
    for i in selected:
        bitmap[i // 8] |= 1 << i % 8
    selection = struct.pack(">IHB", 1, SHA256, 3) + bytes(bitmap)
    return attest(0x8018, extra_data, selection + sized16(sha256(*(pcrs[i] for i in selected))))


def certification(area, extra_data):
    return attest(0x8017, extra_data, sized16(key_name(area)) + sized16(key_name(key_name(area))))


# The log.


class Log:
    """A crypto-agile TCG log with one bank, SHA-256, and the PCRs that it leads to."""

    def __init__(self):
        spec = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, SHA256, 32, 0)
        self.bytes = struct.pack("<II", 0, 3) + bytes(20) + struct.pack("<I", len(spec)) + spec
        self.pcrs = [(b"\xff" if 17 <= i <= 22 else b"\0") * 32 for i in range(PCRS)]

    def event(self, pcr, kind, data, measured=None):
        digest = sha256(data if measured is None else measured)
        self.bytes += struct.pack("<IIIH", pcr, kind, 1, SHA256) + digest + struct.pack("<I", len(data)) + data
        self.pcrs[pcr] = sha256(self.pcrs[pcr], digest)


def variable(guid, name, value):
    text = name.encode("utf-16-le")
    return bytes.fromhex(guid) + struct.pack("<QQ", len(name), len(value)) + text + value


def signature_list(certificate):
    size = 16 + len(certificate)
    return bytes.fromhex(X509) + struct.pack("<III", 28 + size, 0, size) + bytes.fromhex(OWNER) + certificate


def element(identifier, value):
    return struct.pack("<II", identifier, len(value)) + value


def kernel_key(public):
    """VSM_IDKS_INFO."""
    n = public.public_numbers()
    modulus, exponent = n.n.to_bytes(public.key_size // 8, "big"), n.e.to_bytes(3, "big")
    return element(0x00050023, struct.pack("<IIII", 1, public.key_size, len(exponent), len(modulus)) + exponent + modulus)


def firmware_log(certificate, secure_boot=True):
    """What firmware measures until a boot manager runs that a key of db allows."""
    log = Log()
    keys = signature_list(certificate)
    log.event(0, 0x8, "1.0\0".encode("utf-16-le"))
    log.event(7, 0x80000001, variable(GLOBAL, "SecureBoot", bytes([secure_boot])))
    for guid, name in ((GLOBAL, "PK"), (GLOBAL, "KEK"), (IMAGE, "db")):
        log.event(7, 0x80000001, variable(guid, name, keys))
    log.event(7, 0x80000001, variable(IMAGE, "dbx", b""))
    for pcr in range(8):
        log.event(pcr, 0x4, bytes(4))
    if secure_boot:
        log.event(7, 0x800000E0, variable(IMAGE, "db", bytes.fromhex(OWNER) + certificate))
    log.event(4, 0x80000003, bytes(32), measured=b"boot manager")
    return log


def windows_log(certificate, idks, secure_boot=True):
    log = firmware_log(certificate, secure_boot)
    settings = b"".join([
        element(0x00040001, b"\0"), element(0x00050001, b"\0"), element(0x00050002, b"\1"), element(0x00050005, b"\0"),
        element(0x00020009, struct.pack("<I", 3)), element(0x000A0001, b"\1"), kernel_key(idks)])
    log.event(12, 0x6, element(0x40010001, settings))
    for pcr in (12, 13, 14):
        log.event(pcr, 0x4, b"WBCL")
    return log


# The enclave report.


def enclave_report(key, data):
    """The output of EnclaveGetAttestationReport about 64 bytes of data."""
    identity = b"".join(bytes([i]) * size for i, size in ((1, 32), (2, 32), (3, 32), (4, 16), (5, 16)))
    body = data + identity + struct.pack("<IIIIII", 9, 1, 2, 0, 6, 0x10)
    statement = struct.pack("<II", 8 + len(body), 1) + body
    signature = key.sign(statement, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    header = struct.pack("<IIIIII", 24 + len(statement) + len(signature), 1, 1, len(statement), len(signature), 0)
    return header + statement + signature


# Requests.


class Machine:
    """Makes requests; changed is given the texts of the parts, to break them."""

    def __init__(self, authority, aik=None, secure_boot=True, version=2, vbs=False, certify=False):
        self.authority, self.version, self.vbs, self.certify = authority, version, vbs, certify
        self.aik = aik or AIK()
        self.certificate = authority.certify(self.aik.key.public_key())
        self.request_key = rsa.generate_private_key(65537, 2048)
        self.other_key = ec.generate_private_key(ec.SECP256R1())
        self.idks = rsa.generate_private_key(65537, 2048)
        self.log = windows_log(authority.root.public_bytes(serialization.Encoding.DER), self.idks.public_key(), secure_boot)
        self.rp_data = b64u(b"python")
        self.changed = lambda part, text: text

    def request(self, challenge, context):
        """The JWS of message 3."""
        evidence = self._evidence1 if self.version == 1 else self._evidence2
        text = self.changed("evidence", evidence(challenge, context))
        kind, data = "basic", text
        if self.vbs:
            report = b64u(enclave_report(self.idks, hashlib.sha512(text.encode()).digest()))
            text = self.changed("report_signed", text)
            vsm = report if self.version == 1 else {"enclave": {"report": report}}
            kind, data = "vbs", f'{{"report_signed":{text},"vsm_report":{compact(vsm)}}}'
        header = compact({"alg": "PS256", "typ": "attReq" if self.version == 1 else "attReqV2"})
        signed = b64u(header.encode()) + "." + b64u(f'{{"att_type":"{kind}","att_data":{data}}}'.encode())
        signature = self.request_key.sign(signed.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return signed + "." + b64u(signature)

    def _common(self, challenge, context):
        return compact({"rp_id": "https://python.example", "rp_data": self.rp_data, "challenge": b64u(challenge),
                        "service_context": context, "custom_claims": [{"name": "language", "value": "python", "value_type": "string"}]})[1:-1]

    def _aik(self):
        return {"aik_cert": b64u(self.certificate), "aik_pub": jwk(self.aik.key.public_key())}

    def _evidence1(self, challenge, context):
        text = quote(self.log.pcrs, range(PCRS), challenge)
        signature, values = self.aik.sign(text), b"".join(self.log.pcrs)
        claim = b"ALPT" + struct.pack("<IIIII", 0, SHA256, len(signature), len(text), len(values)) + signature + text + values
        data = {"srtm_boot_log": b64u(self.changed("log", self.log.bytes)), **self._aik(), "current_claim": b64u(claim)}
        key = compact(jwk(self.request_key.public_key()))
        return f'{{{self._common(challenge, context)},"tpm_att_data":{compact(data)},"attest_key":{key}}}'

    def _evidence2(self, challenge, context):
        key = json.dumps(jwk(self.request_key.public_key()))  # with spaces, which count
        selected = list(range(8)) + [12, 13, 14, 19, 20]
        extra_data = challenge if self.certify else sha256(key.encode(), b"\0", challenge)
        text = quote(self.log.pcrs, selected, extra_data)
        current = {
            "logs": [{"type": "TCG", "log": b64u(self.changed("log", self.log.bytes))}], **self._aik(),
            "pcrs": [{"algorithm": SHA256, "values": [{"index": i, "digest": b64u(self.log.pcrs[i])} for i in reversed(selected)]}],
            "quote": b64u(text), "signature": b64u(self.aik.sign(text))}
        info, others = {"tpm_quote": {"hash_alg": "sha-256"}}, ""
        if self.certify:
            info = self._certified(self.request_key, challenge)
            other = {"jwk": jwk(self.other_key.public_key()), "info": self._certified(self.other_key, challenge)}
            others = f',"other_keys":{compact([other])}'
        key = self.changed("jwk", key)
        return (f'{{{self._common(challenge, context)},"tpm_att_data":{compact({"current_attestation": current})},'
                f'"request_key":{{"jwk":{key},"info":{compact(info)}}}{others}}}')

    def _certified(self, key, challenge):
        area = public_area(key.public_key())
        text = certification(area, challenge)
        return {"tpm_certify": {"public": b64u(area), "certification": b64u(text), "signature": b64u(self.aik.sign(text))}}
