package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"os"
	"strings"
	"testing"
)

// TestKeysAreReadInEveryFormOfOpenSSL has PKCS #8, PKCS #1 and SEC 1, with what OpenSSL writes around them.
func TestKeysAreReadInEveryFormOfOpenSSL(t *testing.T) {
	long, curve := rsa2048Key(t), p256Key(t)
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	ofLong, ofCurve := makeSigner(t, long, nil), makeSigner(t, curve, nil)
	certificate, err := os.ReadFile(ofCurve.cert)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]signerFiles{
		"PKCS #8":                     ofLong,
		"PKCS #8 on a curve":          ofCurve,
		"PKCS #1":                     {tempFile(t, "key", pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(long))), ofLong.cert},
		"SEC 1":                       {tempFile(t, "key", pemText("EC PRIVATE KEY", sec1)), ofCurve.cert},
		"SEC 1 behind its parameters": {tempFile(t, "key", pemText("EC PARAMETERS", []byte{6, 8})+pemText("EC PRIVATE KEY", sec1)), ofCurve.cert},
		"text around it":              {tempFile(t, "key", "Bag Attributes\n"+pemText("EC PRIVATE KEY", sec1)+"\n"), ofCurve.cert},
	} {
		if o := assay(t, "policy", "sign", "--reset", "--key", tt.key, "--cert", tt.cert); o.status != exitOK || o.stderr != "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	both := tempFile(t, "both.pem", string(certificate)+pemText("EC PRIVATE KEY", sec1))
	assay(t, "policy", "sign", "--reset", "--key", both, "--cert", both).want(t, exitOK, ".", "")
}

func TestFilesWithoutTheKeyOrCertificateAreUsageErrors(t *testing.T) {
	signer, other := makeSigner(t, p256Key(t), nil), makeSigner(t, p256Key(t), nil)
	long := makeSigner(t, rsa2048Key(t), nil)
	key, err := os.ReadFile(signer.key)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := x509.MarshalPKCS8PrivateKey(x25519)
	if err != nil {
		t.Fatal(err)
	}
	policy := tempFile(t, "policy.txt", goodPolicy)
	file := func(text string) string { return tempFile(t, "file", text) }
	encrypted := strings.Replace(pemText("RSA PRIVATE KEY", []byte{0}), "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	sign := func(args ...string) []string { return append([]string{"policy", "sign"}, args...) }
	with := func(key, cert string) []string { return sign("--reset", "--key", key, "--cert", cert) }
	for _, tt := range []struct {
		args []string
		want string
	}{
		{with("absent", signer.cert), "--key: open absent: no such file"},
		{with(file(""), signer.cert), "expected a private key in PEM, found none"},
		{with(signer.cert, signer.cert), "expected a private key in PEM, found none"},
		{with(file(string(key)+string(key)), signer.cert), "expected one private key, found more"},
		{with(file(pemText("PUBLIC KEY", []byte{0})), signer.cert), `expected a private key in PEM, found "PUBLIC KEY"`},
		{with(file(pemText("ENCRYPTED PRIVATE KEY", []byte{0})), signer.cert), "the private key is encrypted"},
		{with(file(encrypted), signer.cert), "the private key is encrypted"},
		{with(file(pemText("PRIVATE KEY", agreement)), signer.cert), "expected a key to sign with"},
		{with(file(pemText("PRIVATE KEY", []byte{0})), signer.cert), "--key: "},
		{with(file(strings.Replace(string(key), "M", "?", 1)), signer.cert), "the PEM is damaged"},
		{with(file(strings.Repeat(" ", maxPEM+1)), signer.cert), "at most 1048576 are read"},
		{with(file(strings.Repeat("\n", maxPEM-len(key))+string(key)), other.cert), "is of another key"}, // the bound itself is not in the way
		{with(signer.key, "absent"), "--cert: open absent"},
		{with(signer.key, signer.key), "expected a certificate in PEM, found none"},
		{with(signer.key, file(pemText("CERTIFICATE", []byte{0}))), "certificate 1: "},
		{with(signer.key, other.cert), `the first certificate, "CN=signer", is of another key`},
		{append(with(signer.key, signer.cert), "--alg", "RS256"), "RS256 needs an RSA key"},
		{append(with(long.key, long.cert), "--alg", "ES256"), "ES256 needs an ECDSA key on P-256"},
		{append(with(long.key, long.cert), "--alg", "HS256"), `unknown algorithm "HS256"`},
		{append(with(long.key, long.cert), policy), "--reset takes no policy"},
		{sign(), "FILE is missing"},
		{sign(policy), "--key is missing; without a signature: --unsigned"},
		{sign(policy, "--key", signer.key), "--cert is missing"},
		{sign(policy, "--unsigned", "--key", signer.key), "--unsigned and --key exclude each other"},
		{sign(policy, "--unsigned", "--cert", signer.cert), "--unsigned and --cert exclude each other"},
		{sign(policy, "--unsigned", "--alg", "RS256"), "--unsigned and --alg exclude each other"},
		{sign(policy, policy, "--unsigned"), "unexpected argument"},
		{sign("absent", "--unsigned"), "no such file"},
		{sign(policy, "--unsigned", "--type", "toaster"), "expected sgx"},
		{[]string{"policy", "unsign"}, "FILE is missing"},
		{[]string{"policy", "unsign", "absent"}, "no such file"},
		{[]string{"policy", "jws"}, "FILE is missing"},
		{[]string{"policy", "jws", "absent"}, "no such file"},
		{[]string{"policy", "jws", policy, "--signer", signer.key}, "--signer: "},
	} {
		o := assay(t, tt.args...)
		if o.status != exitUsage || !strings.Contains(o.stderr, tt.want) || o.stdout != "" {
			t.Errorf("assay %s\n%+v\nwant exit status 2 and %q", strings.Join(tt.args, " "), o, tt.want)
		}
	}
}
