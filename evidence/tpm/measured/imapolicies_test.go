package measured_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// Policies over IMA events, as policy.md sections 5 to 7 and tpm.md section 9.2 let an operator write them. Each wants PCR 10 quoted, counts
// only what it says of the kernel, a keyring or a file there, and refuses where nothing is said.

// kernelPolicy wants a kernel of a line that is cared for: every one that was started, also by kexec.
const kernelPolicy = `version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=1024); };
authorizationrules {
	c:[type=="events", issuer=="AttestationService"] => add(type="kernels", value=JmesPath(c.value,
		"Events[?EventTypeString == 'IMA_MEASUREMENT_EVENT'].ProcessedData.KernelVersion"));
	c:[type=="kernels", issuer=="AttestationPolicy"] => add(type="kernelIsCaredFor", value=JsonToClaimValue(JmesPath(c.value,
		"length(@) > ` + "`0`" + ` && length([?!(starts_with(@, '6.1.') || starts_with(@, '6.12.'))]) == ` + "`0`" + `")));
	[type=="kernelIsCaredFor", issuer=="AttestationPolicy", value==true] => permit();
};
issuancerules {
	c:[type=="kernels", issuer=="AttestationPolicy"] => issue(type="kernel", value=JsonToClaimValue(c.value));
};`

// keyringPolicy wants every certificate of the keyring .ima to be of a known signer of files.
const keyringPolicy = `version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=1024); };
authorizationrules {
	=> add(type="allowed", value="CN=ecdsa-ca-signed-ec-key");
	=> add(type="allowed", value="CN=Files,O=Example");
	c:[type=="events", issuer=="AttestationService"] => add(type="signer", value=JsonToClaimValue(JmesPath(c.value,
		"Events[?EventTypeString == 'IMA_MEASUREMENT_EVENT'].ProcessedData | [?Keyring == '.ima'].CertificateSubject")));
	c:[type=="signer", issuer=="AttestationPolicy"] && a:[type=="allowed", issuer=="AttestationPolicy"]
		=> add(type="signersAreKnown", value=IsSubsetOf(c.value, a.value));
	[type=="signersAreKnown", issuer=="AttestationPolicy", value==true] => permit();
};
issuancerules {
	c:[type=="signer", issuer=="AttestationPolicy"] => issue(claim=c);
};`

// filePolicy wants each measurement of the shell to be of an allow list. What was open for writing while it was measured says nothing of
// itself, so that no entry may be silent.
const filePolicy = `version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=1024); };
authorizationrules {
	=> add(type="allowed", value="sha1:c90333979f56f38bbd41b81806015b0de502f3cc");
	=> add(type="allowed", value="sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
	c:[type=="events", issuer=="AttestationService"] => add(type="shell", value=JsonToClaimValue(JmesPath(c.value,
		"Events[?EventTypeString == 'IMA_MEASUREMENT_EVENT'].ProcessedData | [?Name == '/bin/sh'].Digest")));
	c:[type=="events", issuer=="AttestationService"] => add(type="silent", value=JsonToClaimValue(JmesPath(c.value,
		"length(Events[?EventTypeString == 'IMA_MEASUREMENT_EVENT' && PcrIndex == ` + "`10`" + ` && !ProcessedData])")));
	[type=="silent", issuer=="AttestationPolicy", value!=0] => deny();
	c:[type=="shell", issuer=="AttestationPolicy"] && a:[type=="allowed", issuer=="AttestationPolicy"]
		=> add(type="shellIsAllowed", value=IsSubsetOf(c.value, a.value));
	[type=="shellIsAllowed", issuer=="AttestationPolicy", value==true] => permit();
};
issuancerules {
	c:[type=="shell", issuer=="AttestationPolicy"] => issue(claim=c);
};`

// recorded verifies a list of the vectors with the PCR 10 of the index, and gives the claim events.
func recorded(t *testing.T, file string) string {
	t.Helper()
	var cases []imaCase
	vectortest.ReadJSON(t, "tpm/ima/index.json", &cases)
	for _, c := range cases {
		if c.list() != file {
			continue
		}
		l, err := c.read(t)
		value, err2 := hex.DecodeString(c.PCR10["sha256"])
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return eventsOf(t, l, value)
	}
	vectortest.NoCase(t, "list "+file)
	return ""
}

// built verifies a list that the test makes.
func built(t *testing.T, list ...measurement) string {
	t.Helper()
	l, after := entries(t, list...)
	return eventsOf(t, l, after[len(after)-1])
}

func eventsOf(t *testing.T, l *ima.List, pcr10 []byte) string {
	t.Helper()
	b := tpm.Bank{Alg: tpm.SHA256}
	b.Values[ima.PCR] = pcr10
	boot, err := measured.Verify([]measured.Log{{IMA: l}}, quote(t, b), strict())
	if err != nil {
		t.Fatal(err)
	}
	v, err := boot.Events(measured.EventsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

// decide evaluates a policy over the claim events: what it issues as JSON, or how it refuses.
func decide(t *testing.T, text, events string) string {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	claims := []policy.Claim{{Type: "events", Value: policy.StringValue(events), Issuer: policy.AttestationService}}
	out, err := p.Evaluate(claims, policy.Budget{})
	if d := (*policy.Denied)(nil); errors.As(err, &d) {
		return map[policy.DenialKind]string{policy.ByRule: "denied", policy.NoPermit: "no permit"}[d.Kind]
	}
	if err != nil {
		t.Fatal(err)
	}
	issued := map[string]any{}
	for _, g := range out.Issued() {
		issued[g.Type] = g.Any()
	}
	b, err := json.Marshal(issued)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPoliciesOverIMAEvents(t *testing.T) {
	const shell, lists = "/bin/sh", "ubuntu-ima-ng.bin"
	kernel := func(v string) measurement { return measurement{10, "kernel_version", v, "", false} }
	aggregate := measurement{10, "boot_aggregate", "", "PCRs", false}
	sh, other := measurement{10, shell, "", "x", false}, measurement{10, shell, "", "evil", false}
	for name, c := range map[string]struct{ policy, events, want string }{
		"a kernel of a line that is cared for":  {kernelPolicy, built(t, aggregate, kernel("6.1.0-13-amd64"), sh), `{"kernel":"6.1.0-13-amd64"}`},
		"and another one by kexec":              {kernelPolicy, built(t, kernel("6.1.0-13-amd64"), aggregate, kernel("6.12.3")), `{"kernel":["6.1.0-13-amd64","6.12.3"]}`},
		"an old kernel by kexec":                {kernelPolicy, built(t, kernel("6.1.0-13-amd64"), aggregate, kernel("5.10.0")), "no permit"},
		"an old kernel":                         {kernelPolicy, built(t, aggregate, kernel("5.10.0")), "no permit"},
		"a kernel that looks newer":             {kernelPolicy, built(t, kernel("6.10.0")), "no permit"},
		"a kernel whose version is not covered": {kernelPolicy, built(t, measurement{10, "kernel_version", "6.1.0", "5.10.0", false}), "no permit"},
		"a kernel told in another PCR":          {kernelPolicy, built(t, aggregate, measurement{11, "kernel_version", "6.1.0", "", false}), "no permit"},
		"a kernel told by a violation":          {kernelPolicy, built(t, measurement{10, "kernel_version", "6.1.0", "", true}), "no permit"},
		"a kernel told by the name of a file":   {kernelPolicy, built(t, measurement{10, "kernel_version", "", "6.1.0", false}), "no permit"},
		"a list without a kernel":               {kernelPolicy, recorded(t, lists), "no permit"},

		"the recorded keyring":        {keyringPolicy, recorded(t, "keylime-ima-buf-keyring.bin"), `{"signer":"CN=ecdsa-ca-signed-ec-key"}`},
		"a list without a keyring":    {keyringPolicy, recorded(t, lists), "no permit"},
		"another name than a keyring": {keyringPolicy, built(t, measurement{10, ".ima", "CN=Files,O=Example", "", false}), "no permit"},

		"the recorded shell":            {filePolicy, recorded(t, lists), `{"shell":"sha1:c90333979f56f38bbd41b81806015b0de502f3cc"}`},
		"a shell of the list":           {filePolicy, built(t, aggregate, sh), `{"shell":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}`},
		"another shell":                 {filePolicy, built(t, aggregate, other), "no permit"},
		"a shell and then another one":  {filePolicy, built(t, sh, other), "no permit"},
		"another shell, as a violation": {filePolicy, built(t, sh, measurement{10, shell, "", "evil", true}), "denied"},
		"another shell in another PCR":  {filePolicy, built(t, sh, measurement{11, shell, "", "evil", false}), `{"shell":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}`},
		"no shell":                      {filePolicy, built(t, aggregate), "no permit"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decide(t, c.policy, c.events); got != c.want {
				t.Errorf("got %s, want %s; events %.300s", got, c.want, c.events)
			}
		})
	}
}
