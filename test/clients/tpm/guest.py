"""A virtual machine of Azure with a vTPM, in software, and its requests to /attest/AzureGuest in the dialect of Azure's tools for confidential VMs
in Python: base64url without padding in every member, versions of the system as text, a payload that is JSON. Written from the specification alone
(azure-guest.md); it shares nothing with the service or its simulated host."""

import base64
import json
import struct
import subprocess

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import machine
from machine import NULL, RSASSA, SHA256, b64u, compact, jwk, sha256, sized16

FIRMWARE = list(range(8))  # the PCRs that Linux guests quote
POLICY_PCR = 0x0000017F

FIXED_TPM, FIXED_PARENT, SENSITIVE_ORIGIN, USER_WITH_AUTH = 1 << 1, 1 << 4, 1 << 5, 1 << 6
NO_DA, RESTRICTED, DECRYPT, SIGN = 1 << 10, 1 << 16, 1 << 17, 1 << 18
MADE_BY_TPM = FIXED_TPM | FIXED_PARENT | SENSITIVE_ORIGIN
AK_ATTRIBUTES = MADE_BY_TPM | USER_WITH_AUTH | NO_DA | RESTRICTED | SIGN
SEALING_ATTRIBUTES = MADE_BY_TPM | NO_DA | DECRYPT


def rsa_area(public, attributes, policy, scheme):
    """TPMT_PUBLIC of an RSA key."""
    modulus = public.public_numbers().n.to_bytes(public.key_size // 8, "big")
    return (struct.pack(">HHI", 0x0001, SHA256, attributes) + sized16(policy) + struct.pack(">H", NULL) + scheme
            + struct.pack(">HI", public.key_size, 0) + sized16(modulus))


def selection(indices):
    """TPML_PCR_SELECTION of the SHA-256 bank."""
    bitmap = sum(1 << i for i in indices).to_bytes(3, "little")
    return struct.pack(">IHB", 1, SHA256, 3) + bitmap


def policy_pcr(pcrs, indices):
    """The digest of a policy that wants these values of these PCRs."""
    values = sha256(*(pcrs[i] for i in indices))
    return sha256(bytes(32), struct.pack(">I", POLICY_PCR), selection(indices), values)


def new_keys():
    """An attestation key and a sealing key."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(2)]


class Guest:
    """A machine. Its fields are what a request is made of; break it by changing them, or a member of the request by the hook changed."""

    def __init__(self, authority, isolation="TrustedLaunch", keys=None):
        self.isolation, self.pcrs_quoted = isolation, list(FIRMWARE)
        self.key, self.sealing_key = keys or new_keys()
        self.certificate = authority.certify(self.key.public_key())
        self.log = machine.firmware_log(self.certificate)
        self.payload = {"user-claims": {"project": "python", "n": 7}}
        self.extra_data = b""
        self.sealing_attributes = SEALING_ATTRIBUTES
        self.sealing_policy = policy_pcr(self.log.pcrs, self.pcrs_quoted)
        self.certifier = self.key
        self.proof = self.runtime_data = None
        self.changed = lambda info: None

    def runtime(self):
        """The paravisor's runtime data, which the hardware report has to vouch for."""
        key = {"kid": "HCLAkPub", "key_ops": ["sign"], **jwk(self.key.public_key())}
        configuration = {"console-enabled": True, "secure-boot": True, "tpm-enabled": True, "tpm-persisted": True,
                         "vmUniqueId": "00000000-0000-4000-8000-0000000000AB"}
        return compact({"keys": [key], "vm-configuration": configuration, "user-data": "0" * 128}).encode()

    def on(self, assay, folder):
        """Has the simulated processor vouch for the runtime data."""
        self.runtime_data = self.runtime()
        (folder / "runtime.json").write_bytes(self.runtime_data)
        kind = {"SevSnp": "snp", "Tdx": "tdx"}[self.isolation]
        subprocess.run([assay, "sim", kind, "--runtime-data", folder / "runtime.json", "--out", folder], check=True, capture_output=True)
        if kind == "tdx":
            self.proof = (folder / "quote.bin").read_bytes()
        else:
            report, chain = (folder / "report.bin").read_bytes(), (folder / "chain.pem").read_bytes()
            self.proof = json.dumps({"SnpReport": b64u(report), "VcekCertChain": b64u(chain)}).encode()
        return self

    def body(self):
        info = {
            "AttestationProtocolVersion": "2.0", "OSType": b64u(b"Linux"), "OSDistro": b64u(b"Ubuntu"), "OSVersionMajor": "24", "OSVersionMinor": "04",
            "OSBuild": b64u(b"NotApplication"), "TcgLogs": b64u(self.log.bytes), "ClientPayload": self.payload, "TpmInfo": self._tpm(),
            "IsolationInfo": self._isolation()}
        self.changed(info)
        return {"AttestationInfo": b64u(json.dumps(info).encode())}

    def _sign(self, text, key=None):
        return b64u((key or self.key).sign(text, padding.PKCS1v15(), hashes.SHA256()))

    def _tpm(self):
        quote = machine.quote(self.log.pcrs, self.pcrs_quoted, self.extra_data)
        scheme = struct.pack(">HH", RSASSA, SHA256)
        sealing = rsa_area(self.sealing_key.public_key(), self.sealing_attributes, self.sealing_policy, struct.pack(">H", NULL))
        statement = machine.certification(sealing, b"")
        return {
            "AikCert": b64u(self.certificate), "AikPub": b64u(sized16(rsa_area(self.key.public_key(), AK_ATTRIBUTES, b"", scheme))),
            "PcrQuote": b64u(quote), "PcrSignature": self._sign(quote), "EncKeyPub": b64u(sized16(sealing)),
            "EncKeyCertifyInfo": b64u(statement), "EncKeyCertifyInfoSignature": self._sign(statement, self.certifier),
            "PcrSet": self.pcrs_quoted, "PCRs": [{"Index": i, "Digest": b64u(self.log.pcrs[i])} for i in self.pcrs_quoted]}

    def _isolation(self):
        info = {"Type": self.isolation}
        if self.proof is not None:
            info["Evidence"] = {"Proof": b64u(self.proof), "RunTimeData": b64u(self.runtime_data)}
        return info

    def open(self, token):
        """The token in a sealed answer, which must have every member that Azure's clients want."""
        sealed = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        plain = {name: base64.b64decode(sealed[name], validate=True) for name in ("EncryptedInnerKey", "AuthenticationData", "Jwt")}
        parameters = sealed["EncryptionParams"]
        iv = base64.b64decode(parameters.pop("Iv"), validate=True)
        want = {"BlockMode": "ChainingModeGCM", "BlockPadding": "PKCS7", "Cipher": "AES", "KeySizeInBits": 256}
        if parameters != want or len(iv) != 12 or len(plain["AuthenticationData"]) != 16:
            raise AssertionError(f"EncryptionParams: {parameters}, IV of {len(iv)} bytes, tag of {len(plain['AuthenticationData'])} bytes")
        key = self.sealing_key.decrypt(plain["EncryptedInnerKey"], padding.PKCS1v15())
        if len(key) * 8 != parameters["KeySizeInBits"]:
            raise AssertionError(f"key of {len(key)} bytes")
        return AESGCM(key).decrypt(iv, plain["Jwt"] + plain["AuthenticationData"], b"Transport Key").decode()
