package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/policy"
)

// managed is a service in development mode, and what a command needs to manage it.
type managed struct {
	*service
	data  string
	flags []string // --endpoint, --ca and --token-file of an owner
}

func manage(t *testing.T, args ...string) *managed {
	t.Helper()
	m := &managed{data: t.TempDir()}
	m.service = serve(t, append([]string{"--dev", "--listen", "127.0.0.1:0", "--data", m.data}, args...)...)
	m.flags = []string{"--endpoint", m.URL, "--ca", m.CA, "--token-file", tempFile(t, "token", m.token(t, "owner"))}
	return m
}

// token is a bearer token of a role on every provider.
func (m *managed) token(t *testing.T, role string) string {
	t.Helper()
	o := assay(t, "dev", "token", "--role", role, "--data", m.data)
	o.want(t, exitOK, "", "")
	return strings.TrimSpace(o.stdout)
}

// run runs a command of words, with the flags of the service.
func (m *managed) run(t *testing.T, words string, args ...string) outcome {
	t.Helper()
	return assay(t, append(append(strings.Fields(words), args...), m.flags...)...)
}

const (
	strictPolicy = "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-is-debuggable\", value==false] => permit();\n};\n"
	denyPolicy   = "version=1.0;\nauthorizationrules\n{\n    => deny();\n};\n"
)

func TestPolicyOfAServiceIsSetReadAndReset(t *testing.T) {
	m := manage(t)
	o := m.run(t, "policy get --type sgx")
	if o.want(t, exitOK, "", "DEFAULT  SgxEnclave"); o.stdout != string(policy.Default("SgxEnclave")) {
		t.Errorf("the default policy: %q", o.stdout)
	}
	m.run(t, "policy set --type sgx", tempFile(t, "p", goodPolicy)).want(t, exitOK, "SET  SgxEnclave", "warning: ")
	o = m.run(t, "policy get --type sgx")
	if o.want(t, exitOK, "", "SET  SgxEnclave"); o.stdout != goodPolicy {
		t.Errorf("got the policy %q, want it byte for byte", o.stdout)
	}
	jws, err := policyjws.UnsignedPolicy([]byte(goodPolicy))
	if err != nil {
		t.Fatal(err)
	}
	if o := m.run(t, "policy get --type sgx --jws"); o.stdout != jws {
		t.Errorf("got the JWS %q, want %q", o.stdout, jws)
	}
	m.run(t, "policy reset --type sgx").want(t, exitOK, "RESET  SgxEnclave", "")
	m.run(t, "policy get --type sgx").want(t, exitOK, string(policy.Default("SgxEnclave")), "DEFAULT")
	m.run(t, "policy get --type tpm").want(t, exitOK, "", "NOT SET  Tpm")
}

func TestPolicyCommandsTellWhatTheyDidAsJSON(t *testing.T) {
	m := manage(t)
	by := makeSigner(t, p256Key(t), nil)
	var set struct {
		Type, Result, PolicyHash, PolicyTokenHash string
		Signer                                    struct{ Subject string }
		Warnings                                  []struct{ Code string }
	}
	m.run(t, "policy set --type openenclave --json", tempFile(t, "p", goodPolicy), "--key", by.key, "--cert", by.cert).read(t, &set)
	if set.Type != "OpenEnclave" || set.Result != "Updated" || set.PolicyHash != policy.Hash([]byte(goodPolicy)) || set.Signer.Subject != "CN=signer" || len(set.Warnings) == 0 {
		t.Errorf("set: %+v", set)
	}
	var got struct {
		Type, Policy, JWS, PolicyHash, PolicyTokenHash string
		Signer                                         struct{ Subject string }
		Verified, Default                              bool
	}
	m.run(t, "policy get --type oe --json").read(t, &got)
	if got.Type != "OpenEnclave" || got.Policy != goodPolicy || got.PolicyTokenHash != set.PolicyTokenHash || got.PolicyHash != set.PolicyHash || !got.Verified || got.Default || got.Signer.Subject != "CN=signer" {
		t.Errorf("get: %+v", got)
	}
	if p, err := policyjws.Parse([]byte(got.JWS), policyjws.Options{}); err != nil || p.TokenHash() != got.PolicyTokenHash {
		t.Errorf("the JWS: %v", err)
	}
	m.run(t, "policy reset --type oe --json", "--key", by.key, "--cert", by.cert).read(t, &set)
	if set.Result != "Removed" {
		t.Errorf("reset: %+v", set)
	}
	var unset map[string]any
	m.run(t, "policy get --type tpm --json").read(t, &unset)
	if _, ok := unset["policy"]; ok || unset["jws"] != "eyJhbGciOiJub25lIn0.." {
		t.Errorf("an unset policy: %v", unset)
	}
}

func TestJWSIsSentAsItIs(t *testing.T) {
	m := manage(t)
	by := makeSigner(t, p256Key(t), nil)
	file := filepath.Join(t.TempDir(), "policy.jws")
	assay(t, "policy", "sign", tempFile(t, "p", strictPolicy), "--key", by.key, "--cert", by.cert, "--out", file).want(t, exitOK, "SIGNED", "")
	m.run(t, "policy set --type sgx", file).want(t, exitOK, "SET", "")
	if o := m.run(t, "policy get --type sgx --jws"); o.stdout != readFile(t, file) {
		t.Errorf("got %q", o.stdout)
	}
	m.run(t, "policy set --type sgx", file, "--key", by.key, "--cert", by.cert).want(t, exitRefused, "", "is a JWS already")
}

func TestPolicyThatAServiceRefusesIsNotSent(t *testing.T) {
	s := newFakeService(t)
	broken := tempFile(t, "p", "version=1.0;\nauthorizationrules { => permit() };\n")
	reset := tempFile(t, "p", "eyJhbGciOiJub25lIn0..")
	for file, want := range map[string]string{broken: "REFUSED", reset: ""} {
		o := assay(t, "policy", "set", file, "--type", "sgx", "--endpoint", s.URL, "--ca", s.ca)
		if o.want(t, exitRefused, want, ""); s.request != nil {
			t.Errorf("%s was sent", file)
		}
	}
}

func TestHistoryDiffAndRollback(t *testing.T) {
	m := manage(t)
	m.run(t, "policy set --type sgx", tempFile(t, "p", strictPolicy)).want(t, exitOK, "SET", "")
	m.run(t, "policy set --type sgx", tempFile(t, "p", denyPolicy)).want(t, exitOK, "SET", "")
	m.run(t, "policy reset --type sgx").want(t, exitOK, "RESET", "")
	change := "-    [type==\"x-ms-sgx-is-debuggable\", value==false] => permit();\n+    => deny();\n"
	m.run(t, "policy diff --type sgx --from 1 --to 2").want(t, exitOK, change, "")
	m.run(t, "policy diff --type sgx").want(t, exitOK, "--- SgxEnclave version 2\n+++ SgxEnclave version 3\n@@ -1,5 +0,0 @@\n-version=1.0;\n", "")
	m.run(t, "policy rollback --type sgx --to 1").want(t, exitOK, "ROLLED BACK  SgxEnclave: version 4 is in force, with the policy of version 1", "")
	m.run(t, "policy diff --type sgx --from 1").want(t, exitOK, "EQUAL  SgxEnclave: versions 1 and 4", "")
	if o := m.run(t, "policy get --type sgx"); o.stdout != strictPolicy {
		t.Errorf("after the roll-back: %q", o.stdout)
	}
	o := m.run(t, "policy history --type sgx")
	o.want(t, exitOK, "HISTORY  SgxEnclave, version 4 is in force", "")
	if lines := strings.Split(o.stdout, "\n"); len(lines) != 7 || !strings.Contains(lines[2], "4        rollback to 1") || !strings.Contains(lines[3], "3        reset") {
		t.Errorf("history:\n%s", o.stdout)
	}
	m.run(t, "policy rollback --type sgx --to 3").want(t, exitRefused, "", "")
	m.run(t, "policy rollback --type sgx --to 9").want(t, exitRefused, "no such version", "")
	m.run(t, "policy diff --type sgx --to 9").want(t, exitRefused, "no such version", "")
}

func TestHistoryHasStableMembersAndPages(t *testing.T) {
	m := manage(t)
	for _, text := range []string{strictPolicy, denyPolicy, strictPolicy} {
		m.run(t, "policy set --type sgx", tempFile(t, "p", text)).want(t, exitOK, "SET", "")
	}
	var h struct {
		Type     string
		Current  int
		Versions []struct {
			Version                                 int
			Action, PolicyHash, PolicyTokenHash, By string
			At, RequestID                           string
		}
	}
	m.run(t, "policy history --type sgx --limit 2 --json").read(t, &h)
	if h.Type != "SgxEnclave" || h.Current != 3 || len(h.Versions) != 2 || h.Versions[0].Version != 3 || h.Versions[1].Version != 2 {
		t.Fatalf("got %+v", h)
	}
	v := h.Versions[1]
	if v.Action != "set" || v.PolicyHash != policy.Hash([]byte(denyPolicy)) || v.PolicyTokenHash == "" || !strings.Contains(v.By, "development-owner") || v.At == "" || v.RequestID == "" {
		t.Errorf("got %+v", v)
	}
	var d struct {
		Type     string
		From, To int
		Diff     string
	}
	m.run(t, "policy diff --type sgx --json").read(t, &d)
	if d.Type != "SgxEnclave" || d.From != 2 || d.To != 3 || !strings.Contains(d.Diff, "\n-    => deny();\n") {
		t.Errorf("diff: %+v", d)
	}
	var back struct {
		Type, Action string
		Version, Of  int
	}
	m.run(t, "policy rollback --type sgx --to 2 --json").read(t, &back)
	if back.Type != "SgxEnclave" || back.Action != "rollback" || back.Version != 4 || back.Of != 2 {
		t.Errorf("rollback: %+v", back)
	}
}

// TestSignersOfAnIsolatedProvider goes through the life of its signers, with the key at hand and elsewhere.
func TestSignersOfAnIsolatedProvider(t *testing.T) {
	first, second := makeSigner(t, p256Key(t), nil), makeSigner(t, p256Key(t), nil)
	m := manage(t, "--config", tempFile(t, "assay.yaml", fmt.Sprintf("policy_signers: [%s]\n", first.cert)))
	by := func(s signerFiles) []string { return []string{"--key", s.key, "--cert", s.cert} }
	thumbprint := func(s signerFiles) string {
		certs, err := inPEM(&call{env: &env{}}, s.cert, pemCertificates)
		if err != nil {
			t.Fatal(err)
		}
		return policyjws.Thumbprint(certs[0])
	}
	list := func(want ...signerFiles) {
		t.Helper()
		var got struct{ Signers []struct{ Thumbprint string } }
		m.run(t, "signer list --json").read(t, &got)
		for i, s := range want {
			if len(got.Signers) != len(want) || got.Signers[i].Thumbprint != thumbprint(s) {
				t.Fatalf("signers: %+v", got)
			}
		}
	}
	list(first)
	m.run(t, "policy set --type sgx", tempFile(t, "p", strictPolicy)).want(t, exitRefused, "REFUSED", "")
	m.run(t, "policy set --type sgx", append(by(second), tempFile(t, "p", strictPolicy))...).want(t, exitRefused, "REFUSED", "")
	m.run(t, "signer add", append(by(second), second.cert)...).want(t, exitRefused, "REFUSED", "")
	m.run(t, "signer add", append(by(first), second.cert)...).want(t, exitOK, "ADDED  CN=signer", "")
	m.run(t, "signer list").want(t, exitOK, thumbprint(second), "")
	list(first, second)
	m.run(t, "policy set --type sgx", append(by(second), tempFile(t, "p", strictPolicy))...).want(t, exitOK, "SET", "")
	m.run(t, "policy reset --type sgx", by(second)...).want(t, exitOK, "RESET", "")

	jws := filepath.Join(t.TempDir(), "remove.jws")
	assay(t, append([]string{"signer", "sign", first.cert, "--out", jws}, by(second)...)...).want(t, exitOK, "SIGNED", "")
	var removed struct {
		Result              string
		Certificate, Signer struct{ Thumbprint string }
	}
	m.run(t, "signer remove --json --jws", jws).read(t, &removed)
	if removed.Result != "IsAbsent" || removed.Certificate.Thumbprint != thumbprint(first) || removed.Signer.Thumbprint != thumbprint(second) {
		t.Errorf("got %+v", removed)
	}
	list(second)
	m.run(t, "signer remove", append(by(second), second.cert)...).want(t, exitRefused, "the last policy management certificate", "")
}

func TestSignerCommandsRefuseWhatTheyCannotSend(t *testing.T) {
	s := newFakeService(t)
	by := makeSigner(t, p256Key(t), nil)
	policyJWS := tempFile(t, "p.jws", assay(t, "policy", "sign", tempFile(t, "p", goodPolicy), "--unsigned").stdout)
	two := tempFile(t, "two.pem", readFile(t, by.cert)+readFile(t, by.cert))
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{nil, exitUsage, "CERT or --jws is missing"},
		{[]string{by.cert}, exitUsage, "--key is missing: an existing signer must sign"},
		{[]string{by.cert, "--key", by.key}, exitUsage, "--cert is missing"},
		{[]string{by.cert, "--jws", policyJWS}, exitUsage, "CERT and --jws exclude each other"},
		{[]string{"--jws", policyJWS, "--key", by.key}, exitUsage, "go with CERT"},
		{[]string{"--jws", policyJWS}, exitRefused, "policy JWS"},
		{[]string{two, "--key", by.key, "--cert", by.cert}, exitUsage, "expected one certificate, found 2"},
		{[]string{by.key, "--key", by.key, "--cert", by.cert}, exitUsage, "expected a certificate in PEM"},
	} {
		assay(t, append([]string{"signer", "add", "--endpoint", s.URL, "--ca", s.ca}, tt.args...)...).want(t, tt.status, "", tt.stderr)
	}
	assay(t, "signer", "sign", by.cert).want(t, exitUsage, "", "--key is missing")
}

func TestBaselinesAreListed(t *testing.T) {
	m := manage(t)
	pinned := tempFile(t, "p", `version=1.1;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="13");};authorizationrules{=> permit();};`)
	m.run(t, "policy set --type sgx", pinned).want(t, exitOK, "SET", "")
	o := m.run(t, "baseline list --type sgx")
	o.want(t, exitOK, "BASELINES  SgxEnclave", "")
	for _, want := range []string{"  *  13  13      2022-08-09  2.17       2.16\n", "     12  12      2021-11-10  2.13.3     2.13.100.2\n"} { // management.md section 10
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want a line %q in\n%s", want, o.stdout)
		}
	}
	var got struct {
		Type         string
		TCBBaselines []struct {
			TCBIdentifier string
			IsSelectedTCB bool
		}
	}
	m.run(t, "baseline list --type sgx --json").read(t, &got)
	if len(got.TCBBaselines) < 6 || got.Type != "SgxEnclave" || strings.Count(fmt.Sprint(got), "true") != 1 {
		t.Errorf("got %+v", got)
	}
	m.run(t, "baseline list --type snp").want(t, exitRefused, "There are no TCB baselines", "")
}

func TestKeysAreListedAndRotated(t *testing.T) {
	m := manage(t)
	type keys struct {
		Current string
		Keys    []struct{ KID, SignsFrom, SignsUntil, NotAfter string }
	}
	var before, after, now keys
	start := time.Now()
	m.run(t, "key list --json").read(t, &before)
	if len(before.Keys) != 1 || before.Keys[0].KID != before.Current || before.Keys[0].SignsUntil != "" {
		t.Fatalf("got %+v", before)
	}
	m.run(t, "key rotate --json").read(t, &after)
	if len(after.Keys) != 2 || after.Current != before.Current || after.Keys[0].SignsUntil == "" {
		t.Errorf("after a rotation: %+v", after)
	}
	m.run(t, "key rotate --emergency --json").read(t, &now)
	if from, err := time.Parse(time.RFC3339, now.Keys[1].SignsFrom); err != nil || len(now.Keys) != 3 || from.Sub(start) > time.Minute {
		t.Errorf("after one in an emergency: %+v, want a key that signs soon", now)
	}
	m.run(t, "key list").want(t, exitOK, "  *  "+now.Current, "")
	m.run(t, "key rotate --withdraw --json").read(t, &after)
	if len(after.Keys) != 1 || after.Keys[0].KID != after.Current || after.Current == before.Current {
		t.Errorf("after the others were withdrawn: %+v", after)
	}
}

func TestCommandsOfTheControlPlaneNeedTheRole(t *testing.T) {
	m := manage(t)
	owner := m.flags
	reader := append([]string{}, owner...)
	reader[5] = tempFile(t, "token", m.token(t, "reader"))
	p := tempFile(t, "p", strictPolicy)
	for _, words := range []string{"policy set --type sgx " + p, "policy reset --type sgx", "policy rollback --type sgx --to 1", "key rotate"} {
		for name, flags := range map[string][]string{"nobody": owner[:4], "a reader": reader} {
			m.flags = flags
			o := m.run(t, words)
			if o.want(t, exitRefused, "401 Unauthorized", ""); strings.Contains(o.stdout+o.stderr, readFile(t, owner[5])) {
				t.Errorf("%s: the token of %s is in the output", words, name)
			}
		}
	}
	m.flags = reader
	m.run(t, "policy history --type sgx").want(t, exitOK, "version 0 is in force", "")
}
