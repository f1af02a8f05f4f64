package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// armDemo is the provider of management.md section 4.1, as ARM shows it.
const armDemo = `{"id":"/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Attestation/attestationProviders/demo","name":"demo",
"type":"Microsoft.Attestation/attestationProviders","location":"westus","tags":{"Env":"test"},"properties":{"trustModel":"AAD","status":"Ready",
"attestUri":"https://demo.wus.attest.azure.net","publicNetworkAccess":"Enabled","tpmAttestationAuthentication":null,"privateEndpointConnections":[]}}`

// ownDemo is one as Assay's own routes show it.
const ownDemo = `{"name":"demo","url":"https://demo.attest.example","trustModel":"Isolated","location":"here","tags":{"Env":"test"},"shared":false,
"publicNetworkAccess":"Enabled","tpmAttestationAuthentication":"Enabled","settings":{"tcb_accepted_statuses":{"UpToDate":""}},"policySigners":["AB12"],"version":3,
"created":{"by":"bearer a","at":"2026-03-01T12:00:00Z"},"modified":{"by":"bearer b","at":"2026-03-02T12:00:00Z","requestId":"r"}}`

const armPath = "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Attestation/attestationProviders"

func TestProvidersAreManagedByTheAPIThatIsMeant(t *testing.T) {
	s := newFakeService(t)
	const arm = " --subscription s1 --resource-group g1"
	settings := tempFile(t, "settings.yaml", "refuse_debuggable: true\ntcb_accepted_statuses: {UpToDate: \"\"}\n")
	for _, tt := range []struct {
		words           string
		status          int
		answer          string
		request         string
		body            string // as JSON
		stdout, ifMatch string
	}{
		{"create demo --location westus --tag Env=test --tag a=" + arm, 201, armDemo, "PUT " + armPath + "/demo?api-version=2021-06-01",
			`{"location":"westus","tags":{"Env":"test","a":""},"properties":{}}`, "CREATED  demo\n  id                     /subscriptions/s1/", ""},
		{"create demo --location westus --tpm-authentication disabled --public-network-access Enabled" + arm, 200, armDemo, "PUT " + armPath + "/demo?api-version=2021-06-01",
			`{"location":"westus","properties":{"tpmAttestationAuthentication":"Disabled","publicNetworkAccess":"Enabled"}}`, "UPDATED  demo", ""},
		{"show demo" + arm, 200, armDemo, "GET " + armPath + "/demo?api-version=2021-06-01", "", "URL                    https://demo.wus.attest.azure.net", ""},
		{"update demo --tag x=y" + arm, 200, armDemo, "PATCH " + armPath + "/demo?api-version=2021-06-01", `{"tags":{"x":"y"},"properties":{}}`, "UPDATED", ""},
		{"list" + arm, 200, `{"value":[` + armDemo + `]}`, "GET " + armPath + "?api-version=2021-06-01", "", "  demo  AAD    westus    https://demo.wus.attest.azure.net", ""},
		{"list --subscription s1", 200, `{"value":[]}`, "GET /subscriptions/s1/providers/Microsoft.Attestation/attestationProviders?api-version=2021-06-01", "", "PROVIDERS  0", ""},
		{"delete demo" + arm, 200, "", "DELETE " + armPath + "/demo?api-version=2021-06-01", "", "DELETED  demo", ""},
		{"delete demo" + arm, 202, "", "DELETE " + armPath + "/demo?api-version=2021-06-01", "", "ACCEPTED  demo", ""},
		{"delete demo" + arm, 204, "", "DELETE " + armPath + "/demo?api-version=2021-06-01", "", "ABSENT  demo", ""},

		{"create demo --settings " + settings, 201, ownDemo, "PUT /assay/v1/providers/demo",
			`{"settings":{"refuse_debuggable":true,"tcb_accepted_statuses":{"UpToDate":""}}}`, "CREATED  demo", ""},
		{"create demo --location here --tag Env=test", 200, ownDemo, "PUT /assay/v1/providers/demo", `{"location":"here","tags":{"Env":"test"}}`, "UPDATED  demo", ""},
		{"show demo", 200, ownDemo, "GET /assay/v1/providers/demo", "", `settings               {"tcb_accepted_statuses":{"UpToDate":""}}`, ""},
		{"update demo --public-network-access Disabled --if-version 3", 200, ownDemo, "PATCH /assay/v1/providers/demo", `{"publicNetworkAccess":"Disabled"}`, "UPDATED", `"3"`},
		{"list", 200, `{"providers":[` + ownDemo + `]}`, "GET /assay/v1/providers", "", "  demo  Isolated  here      https://demo.attest.example", ""},
		{"delete demo --if-version 4", 204, "", "DELETE /assay/v1/providers/demo", "", "DELETED  demo", `"4"`},
	} {
		t.Run(tt.words, func(t *testing.T) {
			s.answer = says(tt.status, tt.answer)
			s.manage(t, "provider "+tt.words, "--token", "t").want(t, exitOK, tt.stdout, "")
			if got := s.request.Method + " " + s.request.URL.String(); got != tt.request || s.request.Header.Get("If-Match") != tt.ifMatch || s.request.Header.Get("Authorization") != "Bearer t" {
				t.Errorf("got %s, %v; want %s", got, s.request.Header, tt.request)
			}
			if !sameJSON(s.raw, tt.body) {
				t.Errorf("body %s, want %s", s.raw, tt.body)
			}
		})
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if a == "" || b == "" {
		return a == b
	}
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestSignersMakeAProviderIsolated(t *testing.T) {
	s := newFakeService(t)
	s.answer = says(201, ownDemo)
	rsa, ec := makeSigner(t, serviceKey(), nil), makeSigner(t, p256Key(t), nil)
	for _, arm := range [][]string{nil, {"--subscription", "s1", "--resource-group", "g1", "--location", "x"}} {
		s.manage(t, "provider create demo", append(arm, "--signer", rsa.cert, "--signer", ec.cert)...).want(t, exitOK, "CREATED", "")
		var body struct {
			Certificates json.RawMessage `json:"policySigningCertificates"`
			Properties   struct {
				Certificates json.RawMessage `json:"policySigningCertificates"`
			} `json:"properties"`
		}
		var set struct {
			Keys []struct{ KTY, Alg, Use string }
		}
		if err := json.Unmarshal([]byte(s.raw), &body); err != nil {
			t.Fatal(err)
		}
		if arm != nil {
			body.Certificates = body.Properties.Certificates
		}
		if err := json.Unmarshal(body.Certificates, &set); err != nil || fmt.Sprint(set.Keys) != "[{RSA RS256 sig} {EC ES256 sig}]" {
			t.Errorf("got %s, %v", s.raw, err)
		}
		if signers, err := readSigners(body.Certificates); err != nil || len(signers.Signers) != 2 || signers.Signers[0].Subject != "CN=signer" {
			t.Errorf("got %+v, %v", signers, err)
		}
	}
}

func TestProvidersHaveStableMembers(t *testing.T) {
	s := newFakeService(t)
	for want, got := range map[string][2]string{
		`{"name":"demo","url":"https://demo.attest.example","trustModel":"Isolated","location":"here","tags":{"Env":"test"},"publicNetworkAccess":"Enabled",
		"tpmAttestationAuthentication":"Enabled","settings":{"tcb_accepted_statuses":{"UpToDate":""}},"policySigners":["AB12"],"version":3,
		"created":{"by":"bearer a","at":"2026-03-01T12:00:00Z"},"modified":{"by":"bearer b","at":"2026-03-02T12:00:00Z","requestId":"r"}}`: {"show demo", ownDemo},
		`{"name":"demo","id":"` + armPath + `/demo","url":"https://demo.wus.attest.azure.net","trustModel":"AAD","status":"Ready","location":"westus",
		"tags":{"Env":"test"},"publicNetworkAccess":"Enabled"}`: {"show demo --subscription s1 --resource-group g1", armDemo},
		`{"name":"demo","result":"deleted"}`: {"delete demo", ""},
		`{"providers":[]}`:                   {"list", `{"providers":[]}`},
	} {
		s.answer = says(200, got[1])
		if o := s.manage(t, "provider "+got[0]+" --json"); o.status != exitOK || !sameJSON(o.stdout, want) {
			t.Errorf("%s: status %d, %s%s; want %s", got[0], o.status, o.stdout, o.stderr, want)
		}
	}
}

func TestWrongCallsAboutProvidersAreSentToNobody(t *testing.T) {
	s := newFakeService(t)
	text := tempFile(t, "settings", "[1]")
	for words, want := range map[string]string{
		"create": "NAME is missing",
		"create demo --subscription s1 --location x":                                 "--resource-group is missing",
		"create demo --resource-group g1":                                            "--subscription is missing",
		"create demo --subscription s1 --resource-group g1":                          "--location is missing",
		"create demo --tag x":                                                        `--tag "x": expected NAME=VALUE`,
		"create demo --public-network-access perhaps":                                "expected Enabled or Disabled",
		"create demo --settings " + text:                                             "expected an object of switches",
		"create demo --signer " + text:                                               "expected a certificate",
		"update demo":                                                                "nothing to change",
		"update demo --subscription s1 --resource-group g1 --settings " + text:       "expected an object",
		"update demo --subscription s1 --resource-group g1 --tag a=b --if-version 1": "Assay's own",
		"delete demo --if-version -1":                                                "expected a positive number",
		"list demo":                                                                  "unexpected argument",
	} {
		if s.manage(t, "provider "+words).want(t, exitUsage, "", want); s.request != nil {
			t.Errorf("%s: sent %s", words, s.request.URL)
		}
	}
}

func TestRefusalsAboutProvidersAreTold(t *testing.T) {
	s := newFakeService(t)
	for _, tt := range []struct {
		words          string
		answer         http.HandlerFunc
		status         int
		stdout, stderr string
	}{
		{"create demo", says(409, `{"error":{"code":"Conflict","message":"taken"}}`), exitRefused, "Conflict", ""},
		{"show demo", says(404, `{"error":{"code":"NotFound","message":"none"}}`), exitRefused, "none (if the service is not Assay: only Assay has this operation)", ""},
		{"show demo --subscription s1 --resource-group g1", says(404, `{"error":{"code":"ResourceNotFound","message":"none"}}`), exitRefused, "ResourceNotFound", ""},
		{"list", says(200, "[]"), exitService, "", "something unexpected"},
		{"list --subscription s1", says(200, "[]"), exitService, "", "something unexpected"},
		{"delete demo", says(500, ""), exitService, "500", ""},
	} {
		s.answer = tt.answer
		o := s.manage(t, "provider "+tt.words)
		if o.want(t, tt.status, tt.stdout, tt.stderr); strings.Contains(tt.words, "--subscription") && strings.Contains(o.stdout, "only Assay") {
			t.Errorf("%s: %s", tt.words, o.stdout)
		}
	}
}

// TestProviderLivesOnTheServiceItself goes through the life of a provider by our own routes and by ARM's, with a policy of its own.
func TestProviderLivesOnTheServiceItself(t *testing.T) {
	by := makeSigner(t, p256Key(t), nil)
	m := manage(t, "--config", tempFile(t, "assay.yaml", "arm_facade: true\n"))
	settings := tempFile(t, "settings.yaml", "refuse_debuggable: true\n")
	for _, arm := range [][]string{nil, {"--subscription", "s1", "--resource-group", "g1"}} {
		name := fmt.Sprint("demo", len(arm))
		run := func(words string, args ...string) outcome {
			t.Helper()
			return m.run(t, "provider "+words, append(args, arm...)...)
		}
		create := []string{"--location", "westus", "--tag", "Env=test", "--signer", by.cert, "--json"}
		if arm == nil {
			create = append(create, "--settings", settings)
		}
		var got struct {
			Name, URL, TrustModel, Location, TPMAttestationAuthentication string
			Tags                                                          map[string]string
			Settings                                                      map[string]any
			PolicySigners                                                 []string
			Version                                                       int
		}
		run("create "+name, create...).read(t, &got)
		if got.Name != name || got.TrustModel != "Isolated" || got.Location != "westus" || got.Tags["Env"] != "test" || arm == nil && (got.Settings["refuse_debuggable"] != true || len(got.PolicySigners) != 1) {
			t.Errorf("%s: %+v", name, got)
		}
		own := &managed{service: m.service, data: m.data, flags: append([]string{"--endpoint", got.URL}, m.flags[2:]...)}
		own.run(t, "policy set --type sgx", tempFile(t, "p", strictPolicy)).want(t, exitRefused, "REFUSED", "")
		own.run(t, "policy set --type sgx", tempFile(t, "p", strictPolicy), "--key", by.key, "--cert", by.cert).want(t, exitOK, "SET", "")
		own.run(t, "signer list").want(t, exitOK, "CN=signer", "")

		run("create "+name, "--location", "westus").want(t, exitOK, "UPDATED", "there was a provider "+name+" already")
		run("update "+name, "--tpm-authentication", "Disabled", "--tag", "a=b").want(t, exitOK, "UPDATED  "+name, "")
		got.Tags = nil
		run("show "+name, "--json").read(t, &got)
		if got.TPMAttestationAuthentication != "Disabled" || got.Tags["a"] != "b" || len(got.Tags) != 1 {
			t.Errorf("%s after its update: %+v", name, got)
		}
		if arm == nil {
			run("update "+name, "--tag", "c=d", "--if-version", fmt.Sprint(got.Version+1)).want(t, exitRefused, "REFUSED", "")
			run("update "+name, "--tag", "c=d", "--if-version", fmt.Sprint(got.Version)).want(t, exitOK, "c=d", "")
		}
		run("list").want(t, exitOK, "  "+name+"  ", "")
		run("delete "+name).want(t, exitOK, "DELETED  "+name, "")
		run("show "+name).want(t, exitRefused, "404 Not Found", "")
	}
	m.run(t, "provider delete demo4 --subscription s1 --resource-group g1").want(t, exitOK, "ABSENT", "")
}
