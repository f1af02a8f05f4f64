package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

const goodPolicy = "version=1.0;\r\nauthorizationrules { => permit(); }; // ü\n"

// jwsOutcome is what the commands print with --json.
type jwsOutcome struct {
	Form, Operation, Algorithm, HeaderAlgorithm     string
	Verified, Trusted                               bool
	TokenHash, PolicyHash, PolicyVersion, Text, JWS string
	PolicyError, Out                                string
	Certificates                                    int
	Signer, Certificate                             struct{ Subject, Issuer, Key, Thumbprint, SHA256 string }
	Error                                           struct{ Code, Check, Message string }
	Valid                                           *bool // of policy check
}

// jws runs policy jws --json.
func jws(t *testing.T, status int, args ...string) (got jwsOutcome) {
	t.Helper()
	o := assay(t, append([]string{"policy", "jws", "--json"}, args...)...)
	o.want(t, status, "", "")
	o.read(t, &got)
	return got
}

func TestEveryJWSVectorIsShownAsTheIndexHasIt(t *testing.T) {
	var index map[string]struct {
		Kind, Operation, Alg string
		TokenHash            string `json:"token_hash"`
		Thumbprint           string `json:"signer_thumbprint"`
		PolicyHash           string `json:"policy_hash"`
		PolicyFile           string `json:"policy_file"`
		PlainText            bool   `json:"plain_text"`
	}
	vectortest.ReadJSON(t, "policies/index.json", &index)
	operations := map[string]string{"put": "set", "reset": "reset", "certificates:add": "signers"}
	for name, v := range index {
		if v.Kind != "jws" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := vectortest.Path(t, "policies/"+name)
			if v.PlainText {
				if got := jws(t, exitRefused, file); got.Error.Check != "malformed" || got.Error.Code != "InvalidOperation" {
					t.Errorf("plain text: %+v", got.Error)
				}
				return
			}
			got := jws(t, exitOK, file)
			signed := v.Thumbprint != ""
			if got.Operation != operations[v.Operation] || got.Algorithm != v.Alg || got.TokenHash != v.TokenHash || got.Signer.Thumbprint != v.Thumbprint ||
				got.PolicyHash != v.PolicyHash || got.Verified != signed || (got.Form == "signed") != signed || got.Trusted {
				t.Errorf("got %+v, want %+v", got, v)
			}
			o := assay(t, "policy", "unsign", file)
			if v.PolicyHash == "" {
				o.want(t, exitRefused, "", "there is no policy in it")
				return
			}
			if o.want(t, exitOK, "", "assay: signature "); policy.Hash([]byte(o.stdout)) != v.PolicyHash {
				t.Errorf("unsigned text has the hash %s, want %s", policy.Hash([]byte(o.stdout)), v.PolicyHash)
			}
			if v.PolicyFile != "" && o.stdout != string(vectortest.Read(t, "policies/"+v.PolicyFile)) {
				t.Errorf("the text is not that of %s", v.PolicyFile)
			}
		})
	}
}

// signerFiles are the files of a signer.
type signerFiles struct{ key, cert string }

// makeSigner writes a key and a self-signed certificate of it.
func makeSigner(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) signerFiles {
	t.Helper()
	return issueSigner(t, key, change, nil, key)
}

// issueSigner writes a key and a certificate of it that issuer issued.
func issueSigner(t *testing.T, key crypto.Signer, change func(*x509.Certificate), issuer *x509.Certificate, issuerKey crypto.Signer) signerFiles {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Now(), NotAfter: time.Now(),
	}
	if change != nil {
		change(template)
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return signerFiles{tempFile(t, "signer.key", pemText("PRIVATE KEY", secret)), tempFile(t, "signer.pem", pemText("CERTIFICATE", der))}
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func p256Key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsa2048Key(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignedPoliciesCanBeShownAndTakenOutAgain(t *testing.T) {
	text := tempFile(t, "policy.txt", goodPolicy)
	ec, long := makeSigner(t, p256Key(t), nil), makeSigner(t, rsa2048Key(t), nil)
	for _, tt := range []struct {
		name, want string
		by         signerFiles
		args       []string
	}{
		{"RSA", "RS256", long, nil},
		{"PSS", "PS256", long, []string{"--alg", "PS256"}},
		{"curve", "ES256", ec, []string{"--alg=ES256", "--type", "tpm"}},
		{"unsigned", "none", signerFiles{}, []string{"--unsigned", "--type=sgx"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"policy", "sign", text}, tt.args...)
			trust := []string{}
			if tt.by.key != "" {
				args = append(args, "--key", tt.by.key, "--cert", tt.by.cert)
				trust = []string{"--signer", tt.by.cert}
			}
			o := assay(t, args...)
			o.want(t, exitOK, "", "")
			if o.stderr != "" || strings.Count(o.stdout, "\n") != 1 || strings.Count(o.stdout, ".") != 2 {
				t.Errorf("want one line with a JWS, got %q, and on standard error %q", o.stdout, o.stderr)
			}
			file := tempFile(t, "policy.jws", o.stdout)
			got := jws(t, exitOK, append(trust, file)...)
			signed := tt.want != "none"
			if got.Algorithm != tt.want || got.Verified != signed || got.Trusted != signed || got.Text != goodPolicy ||
				got.PolicyVersion != "1.0" || got.PolicyHash != policy.Hash([]byte(goodPolicy)) || got.JWS != "" {
				t.Errorf("got %+v", got)
			}
			belief := map[bool]string{true: "assay: signature checked: of a signer that you trust", false: "assay: signature none"}[signed]
			if o := assay(t, append([]string{"policy", "unsign", file}, trust...)...); o.status != exitOK || o.stdout != goodPolicy || !strings.Contains(o.stderr, belief) {
				t.Errorf("unsign: %+v", o)
			}
		})
	}
}

func TestFilesWrittenHoldNothingElse(t *testing.T) {
	text, by := tempFile(t, "policy.txt", goodPolicy), makeSigner(t, p256Key(t), nil)
	dir := t.TempDir()
	file, again := filepath.Join(dir, "policy.jws"), filepath.Join(dir, "again.txt")
	var made jwsOutcome
	o := assay(t, "policy", "sign", text, "--key", by.key, "--cert", by.cert, "--out", file, "--json")
	o.want(t, exitOK, "", "")
	o.read(t, &made)
	b, err := os.ReadFile(file)
	if err != nil || string(b) != made.JWS || made.Out != file || !made.Verified || made.Operation != "set" || made.Algorithm != "ES256" {
		t.Errorf("%v: file %q, told %+v", err, b, made)
	}
	if got := jws(t, exitOK, file); got.TokenHash != made.TokenHash || got.Signer != made.Signer || len(got.Signer.SHA256) != 64 ||
		got.Signer.Subject != "CN=signer" || got.Signer.Key != "ECDSA on P-256" || got.Certificates != 1 {
		t.Errorf("got %+v, made %+v", got, made)
	}
	o = assay(t, "policy", "unsign", file, "--out", again)
	o.want(t, exitOK, "", "anybody can have made")
	if b, err := os.ReadFile(again); err != nil || string(b) != goodPolicy || o.stdout != "" {
		t.Errorf("%v: %q; standard output %q", err, b, o.stdout)
	}
	o = assay(t, "policy", "unsign", file, "--json")
	var taken jwsOutcome
	if o.read(t, &taken); taken.Text != goodPolicy || !taken.Verified || taken.Trusted {
		t.Errorf("unsign --json: %+v", taken)
	}
	absent := filepath.Join(dir, "absent", "x")
	assay(t, "policy", "sign", text, "--unsigned", "--out", absent).want(t, exitUsage, "", "no such file")
	assay(t, "policy", "unsign", file, "--out", absent).want(t, exitUsage, "", "no such file")
}

// TestFilesReadAreNotOverwritten: a slip of the flag --out costs neither a key nor a policy nor a test.
func TestFilesReadAreNotOverwritten(t *testing.T) {
	text, by := tempFile(t, "policy.txt", goodPolicy), makeSigner(t, p256Key(t), nil)
	file := tempFile(t, "policy.jws", assay(t, "policy", "sign", text, "--unsigned").stdout)
	tests := tempFile(t, "a.test.yaml", "policy: none.txt\ntype: sgx\ncases: []\n")
	sign := []string{"policy", "sign", text, "--key", by.key, "--cert", by.cert, "--out"}
	for _, args := range [][]string{
		append(sign, by.key), append(sign, by.cert), append(sign, text),
		{"policy", "unsign", file, "--out", file}, {"policy", "test", tests, "--junit", tests},
	} {
		name := args[len(args)-1]
		before, err := os.ReadFile(name)
		assay(t, args...).want(t, exitUsage, "", "is one of the files read, and is not overwritten")
		if after, err2 := os.ReadFile(name); err != nil || err2 != nil || !bytes.Equal(before, after) {
			t.Errorf("%q: %v, %v: %q", args, err, err2, after)
		}
	}
}

func TestResetIsMadeWithoutAPolicy(t *testing.T) {
	by := makeSigner(t, p256Key(t), nil)
	if o := assay(t, "policy", "sign", "--reset", "--unsigned"); o.stdout != "eyJhbGciOiJub25lIn0..\n" || o.status != exitOK {
		t.Errorf("unsigned: %+v", o)
	}
	assay(t, "policy", "sign", "--reset", "--unsigned", "--type", "sgx").want(t, exitUsage, "", "--reset and --type exclude each other")
	o := assay(t, "policy", "sign", "--reset", "--key", by.key, "--cert", by.cert)
	if got := jws(t, exitOK, tempFile(t, "reset.jws", o.stdout), "--signer", by.cert); got.Operation != "reset" || !got.Trusted || got.PolicyHash != "" {
		t.Errorf("got %+v", got)
	}
}

func TestPoliciesThatAServiceRefusesAreNotSigned(t *testing.T) {
	broken := tempFile(t, "policy.txt", "version=1.0;\nauthorizationrules { => permit() };\n")
	property := tempFile(t, "policy.txt", "version=1.1;configurationrules { => issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=17); };authorizationrules { => permit(); };")
	unsigned := assay(t, "policy", "sign", tempFile(t, "policy.txt", goodPolicy), "--unsigned").stdout
	out := filepath.Join(t.TempDir(), "policy.jws")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{broken}, broken + ":2:"},
		{[]string{broken, "--type", "sgx"}, "^"},
		{[]string{property, "--type", "sgx"}, property + ":1:"},
		{[]string{tempFile(t, "policy.jws", unsigned)}, "is a JWS already"},
	} {
		args := append([]string{"policy", "sign", "--unsigned", "--out", out}, tt.args...)
		o := assay(t, args...)
		o.want(t, exitRefused, "", tt.want)
		if _, err := os.Stat(out); err == nil || o.stdout != "" {
			t.Errorf("%v: a JWS was made: %s", args, o.stdout)
		}
	}
	assay(t, "policy", "sign", "--unsigned", property).want(t, exitOK, "", "") // for another type it may be right
	var got jwsOutcome
	if assay(t, "policy", "sign", "--unsigned", broken, "--json").read(t, &got); got.Valid == nil || *got.Valid {
		t.Errorf("with --json: %+v, want what policy check prints", got)
	}
}

func TestDoubtfulKeysAndCertificatesAreWarnedAbout(t *testing.T) {
	key := p256Key(t)
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}
	for _, tt := range []struct {
		name string
		by   signerFiles
		mode os.FileMode
		want string
	}{
		{"sound", makeSigner(t, key, nil), 0o600, ""},
		{"key for the group to read", makeSigner(t, key, nil), 0o640, "has permissions 0640: others may have read the key"},
		{"self-signed and no CA", makeSigner(t, key, func(c *x509.Certificate) { c.IsCA = false }), 0o600, "a service may refuse the certificate"},
		{"no basic constraints", makeSigner(t, key, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), 0o600, "CA=true"},
		{"issuer left out", issueSigner(t, key, nil, ca, p256Key(t)), 0o600, "the certificate's issuer CN=CA is not in --cert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Chmod(tt.by.key, tt.mode); err != nil {
				t.Fatal(err)
			}
			o := assay(t, "policy", "sign", "--reset", "--key", tt.by.key, "--cert", tt.by.cert)
			o.want(t, exitOK, ".", tt.want)
			if warned := strings.Contains(o.stderr, "assay: warning: "); warned != (tt.want != "") {
				t.Errorf("standard error: %q", o.stderr)
			}
		})
	}
}

func TestAJWSThatIsRefusedIsShownButNotTakenApart(t *testing.T) {
	text, by := tempFile(t, "policy.txt", goodPolicy), makeSigner(t, p256Key(t), nil)
	good := strings.TrimSpace(assay(t, "policy", "sign", text, "--key", by.key, "--cert", by.cert).stdout)
	noCA := makeSigner(t, p256Key(t), func(c *x509.Certificate) { c.IsCA = false })
	stranger := makeSigner(t, p256Key(t), nil)
	for _, tt := range []struct {
		name, jws, check, code string
		args                   []string
	}{
		{"altered signature", good[:len(good)-4] + "AAAA", "signature", "InvalidOperation", nil},
		{"no CA", assay(t, "policy", "sign", text, "--key", noCA.key, "--cert", noCA.cert).stdout, "chain", "InvalidParameter", nil},
		{"signer of another name", good, "signer", "InvalidOperation", []string{"--signer", stranger.cert}},
		{"unsigned where a signer is asked for", assay(t, "policy", "sign", text, "--unsigned").stdout, "unsigned", "InvalidOperation", []string{"--signer", by.cert}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := tempFile(t, "policy.jws", tt.jws)
			got := jws(t, exitRefused, append(tt.args, file)...)
			if got.Error.Check != tt.check || got.Error.Code != tt.code || got.Trusted || got.Text != goodPolicy || got.Verified != (tt.check == "signer") {
				t.Errorf("got %+v", got)
			}
			assay(t, append([]string{"policy", "jws", file}, tt.args...)...).want(t, exitRefused, "REFUSED  ", "")
			o := assay(t, append([]string{"policy", "unsign", file}, tt.args...)...)
			o.want(t, exitRefused, "", tt.check)
			if o.stdout != "" {
				t.Errorf("unsign printed %q", o.stdout)
			}
			var failed jwsOutcome
			if assay(t, append([]string{"policy", "unsign", "--json", file}, tt.args...)...).read(t, &failed); failed.Error.Check != tt.check || failed.Text != "" {
				t.Errorf("unsign --json: %+v", failed)
			}
		})
	}
	assay(t, "policy", "jws", text).want(t, exitRefused, "three parts divided by dots", "")
}

// TestNamesThatSDKsGiveToAlgorithmsAreShown has a JWS as the .NET SDK writes it.
func TestNamesThatSDKsGiveToAlgorithmsAreShown(t *testing.T) {
	key := rsa2048Key(t)
	by := makeSigner(t, key, nil)
	text, err := os.ReadFile(by.cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	header, _ := json.Marshal(map[string]any{"alg": "RSA256", "x5c": [][]byte{block.Bytes}})
	input := rawURL(string(header)) + "."
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	file := tempFile(t, "reset.jws", input+"."+rawURL(string(signature)))
	if got := jws(t, exitOK, file, "--signer", by.cert); got.Algorithm != "RS256" || got.HeaderAlgorithm != "RSA256" || !got.Trusted {
		t.Errorf("got %+v", got)
	}
	assay(t, "policy", "jws", file).want(t, exitOK, "RS256, written RSA256", "")
}

func TestAJWSIsReadFromStandardInputToo(t *testing.T) {
	w := world{stdin: "  \"eyJhbGciOiJub25lIn0..\"\r\n"}
	w.assay(t, "policy", "jws", "-").want(t, exitOK, "UNSIGNED  -\n", "")
}

func TestAPolicyInAJWSThatDoesNotParseIsToldWithItsError(t *testing.T) {
	file := tempFile(t, "policy.jws", "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImRtVnljMmx2YmowNExqYzcifQ.") // version=8.77
	got := jws(t, exitOK, file)
	if got.PolicyVersion != "" || !strings.Contains(got.PolicyError, "Line: '1'") {
		t.Errorf("got %+v", got)
	}
	assay(t, "policy", "jws", file).want(t, exitOK, "not a policy", "")
}

func TestATextFromAStrangerDoesNotCommandTheTerminal(t *testing.T) {
	payload, _ := json.Marshal(map[string]string{"AttestationPolicy": rawURL("version=1.0;\n\t// \x1b[2J\r\n")})
	file := tempFile(t, "policy.jws", "eyJhbGciOiJub25lIn0."+rawURL(string(payload))+".")
	for _, command := range []string{"jws", "unsign"} {
		o := world{terminal: true, vars: map[string]string{"NO_COLOR": "1"}}.assay(t, "policy", command, file)
		if o.want(t, exitOK, `    // \x1b[2J`+"\n", ""); strings.Contains(o.stdout, "\x1b") {
			t.Errorf("policy %s prints an escape character", command)
		}
	}
	if o := assay(t, "policy", "unsign", file); !strings.Contains(o.stdout, "\x1b[2J\r\n") {
		t.Errorf("into a file, unsign changes the text: %q", o.stdout)
	}
}

func rawURL(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	_ = e.Encode([]byte(s)) // standard base64 in quotes
	return strings.NewReplacer("+", "-", "/", "_", "=", "", `"`, "", "\n", "").Replace(b.String())
}
