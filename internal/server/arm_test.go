package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
)

// Where the providers of these tests are.
const (
	armSub       = "/subscriptions/00000000-0000-0000-0000-00000000000a"
	armGroup     = armSub + "/resourceGroups/Group-1"
	armProviders = armGroup + "/providers/Microsoft.Attestation/attestationProviders"
)

// armVersions are those of management.md section 2.
var armVersions = []string{"2018-09-01-preview", "2020-10-01", "2021-06-01-preview", "2021-06-01"}

// armService is a service with the façade, whose providers are found by their host names.
func armService(t *testing.T) *testService {
	return start(t, config.Config{ARMFacade: true, ProviderURL: "https://{name}.{location}.attest.test", Location: "West US"})
}

// owned is a token of the development issuer for a role on some providers.
func (s *testService) owned(t testing.TB, role auth.Role, providers ...string) string {
	t.Helper()
	token, err := s.dev.Token(role, providers, nil, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// call is a request of somebody with a token, perhaps to a provider by its host.
type call struct {
	method, path, version, body, token, host, ifMatch string
}

// make makes a call, with an owner's token unless it has another.
func (s *testService) make(t testing.TB, c call) answer {
	t.Helper()
	if c.version != "" {
		c.path += "?api-version=" + c.version
	}
	if c.token == "" {
		c.token = s.token(t, auth.Owner)
	}
	req, err := http.NewRequest(c.method, s.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = c.host
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.ifMatch != "" {
		req.Header.Set("If-Match", c.ifMatch)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

// arm makes a call of ARM's newest version as an owner.
func (s *testService) arm(t testing.TB, method, path, body string) answer {
	t.Helper()
	return s.make(t, call{method: method, path: path, version: "2021-06-01", body: body})
}

// want checks the status, and reads the body.
func (a answer) want(t testing.TB, status int) map[string]any {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	var body map[string]any
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
	}
	return body
}

// armRefused checks a refusal in ARM's shape, {"error":{"code","message"}} and nothing else (management.md section 3).
func (a answer) armRefused(t testing.TB, status int, code string, fragments ...string) {
	t.Helper()
	body := a.want(t, status)
	e, _ := body["error"].(map[string]any)
	if len(body) != 1 || len(e) != 2 || e["code"] != code {
		t.Errorf("got %s, want an error with the code %s, a message and nothing else", a.body, code)
	}
	for _, f := range fragments {
		if message, _ := e["message"].(string); !strings.Contains(message, f) {
			t.Errorf("the message lacks %q: %s", f, message)
		}
	}
}

// signerCert is a new self-signed certificate in standard base64, as x5c has it.
func signerCert(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// isolated is a creation body with signers.
func isolated(certs ...string) string {
	var keys []string
	for _, c := range certs {
		keys = append(keys, fmt.Sprintf(`{"kty":"RSA","x5c":[%q]}`, c))
	}
	return fmt.Sprintf(`{"location":"westus","properties":{"policySigningCertificates":{"keys":[%s]}}}`, strings.Join(keys, ","))
}

const plain = `{"location":"westus","properties":{}}`

// TestARMShowsAProviderAsTheVersionHasIt holds the members of a provider to management.md sections 2 and 4.1.
func TestARMShowsAProviderAsTheVersionHasIt(t *testing.T) {
	s := armService(t)
	for n, version := range armVersions {
		name := fmt.Sprintf("demo%d", n)
		url := "https://" + name + ".westus.attest.test"
		created := s.make(t, call{method: "PUT", path: armProviders + "/" + name, version: version, body: plain})
		want := map[string]any{
			"id": armProviders + "/" + name, "name": name, "type": "Microsoft.Attestation/attestationProviders", "location": "westus",
			"properties": map[string]any{"trustModel": "AAD", "status": "Ready", "attestUri": url},
		}
		if n == 0 {
			want["tags"] = nil
		} else {
			want["properties"].(map[string]any)["privateEndpointConnections"] = []any{}
		}
		if n >= 2 {
			want["properties"].(map[string]any)["publicNetworkAccess"] = nil
			want["properties"].(map[string]any)["tpmAttestationAuthentication"] = nil
		}
		body := created.want(t, http.StatusCreated)
		if got := created.header.Get("Location"); got != url+"/" {
			t.Errorf("%s: Location %q", version, got)
		}
		checkSystemData(t, version, body)
		if !reflect.DeepEqual(body, want) {
			t.Errorf("%s: created %v, want %v", version, body, want)
		}
		got := s.make(t, call{method: "GET", path: armProviders + "/" + name, version: version}).want(t, http.StatusOK)
		checkSystemData(t, version, got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}

// checkSystemData takes systemData out of a provider, after checking that the version has it.
func checkSystemData(t testing.TB, version string, provider map[string]any) {
	t.Helper()
	data, has := provider["systemData"].(map[string]any)
	delete(provider, "systemData")
	if want := version != "2018-09-01-preview"; has != want {
		t.Errorf("%s: systemData is there: %t, want %t", version, has, want)
		return
	}
	if !has {
		return
	}
	if members := slices.Sorted(maps.Keys(data)); !slices.Equal(members, []string{"createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy"}) {
		t.Errorf("systemData has %v", members)
	}
	if at, err := time.Parse(time.RFC3339, data["createdAt"].(string)); err != nil || time.Since(at) > time.Minute || data["createdBy"] != "bearer development-owner" {
		t.Errorf("systemData: %v", data)
	}
}

// TestARMAnswersHaveTheHeaders of management.md section 3, refusals too.
func TestARMAnswersHaveTheHeaders(t *testing.T) {
	s := armService(t)
	for path, status := range map[string]int{armProviders: 200, armProviders + "/nobody": 404} {
		a := s.arm(t, "GET", path, "")
		a.want(t, status)
		for name, want := range map[string]string{
			"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "-1", "X-Content-Type-Options": "nosniff",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "Content-Type": "application/json; charset=utf-8",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
		if a.header.Get("x-ms-maa-service-version") == "" {
			t.Errorf("%s: no version of the service", path)
		}
	}
}

// TestARMVersionsOfOperations holds the column "Since" of management.md section 3.
func TestARMVersionsOfOperations(t *testing.T) {
	s := armService(t)
	s.arm(t, "PUT", armProviders+"/demo", plain).want(t, http.StatusCreated)
	for _, tt := range []struct {
		method, path string
		since        int // index of armVersions
	}{
		{"GET", "/providers/Microsoft.Attestation/operations", 0},
		{"GET", armProviders + "/demo", 0},
		{"GET", armSub + "/providers/Microsoft.Attestation/attestationProviders", 0},
		{"GET", armProviders, 0},
		{"GET", armSub + "/providers/Microsoft.Attestation/defaultProviders", 0},
		{"GET", armSub + "/providers/Microsoft.Attestation/locations/westus/defaultProvider", 0},
		{"GET", armProviders + "/demo/privateEndpointConnections", 1},
		{"DELETE", armProviders + "/demo/privateEndpointConnections/x", 1},
		{"GET", armProviders + "/demo/privateLinkResources", 2},
	} {
		for n, version := range append(armVersions, "2029-09-12", "2022-08-01") {
			a := s.make(t, call{method: tt.method, path: tt.path, version: version})
			if n >= tt.since && n < len(armVersions) {
				if a.status != http.StatusOK && a.status != http.StatusNoContent {
					t.Errorf("%s %s in %s: status %d: %s", tt.method, tt.path, version, a.status, a.body)
				}
				continue
			}
			a.armRefused(t, http.StatusBadRequest, "UnsupportedApiVersion", version, armVersions[tt.since])
		}
		s.make(t, call{method: tt.method, path: tt.path}).armRefused(t, http.StatusBadRequest, "InvalidParameter", "api-version")
	}
}

func TestARMIsOffUnlessConfigured(t *testing.T) {
	s := start(t, config.Config{})
	for _, path := range []string{armProviders, "/providers/Microsoft.Attestation/operations"} {
		if a := s.arm(t, "GET", path, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
	}
}

// TestARMHasItsOwn2018Version shows that api_2018_preview, which is of the data plane, leaves ARM alone.
func TestARMHasItsOwn2018Version(t *testing.T) {
	off := false
	s := start(t, config.Config{ARMFacade: true, Preview2018: &off})
	s.make(t, call{method: "GET", path: armProviders, version: "2018-09-01-preview"}).want(t, http.StatusOK)
}

// TestARMTrustModels follows management.md section 4.2: signers or none decide.
func TestARMTrustModels(t *testing.T) {
	s := armService(t)
	one, two := signerCert(t), signerCert(t)
	for n, tt := range []struct{ body, model string }{
		{plain, "AAD"},
		{isolated(), "AAD"},
		{`{"location":"westus","properties":{"policySigningCertificates":null}}`, "AAD"},
		{`{"location":"westus","properties":{"policySigningCertificates":{}}}`, "AAD"},
		{isolated(one), "Isolated"},
		{isolated(one, two), "Isolated"},
		{`{"Location":"West US","Properties":{"PolicySigningCertificates":{"Keys":[{"alg":"RS256","kty":"RSA","use":"sig","X5C":["` + one + `"]}]}},"Kind":"x"}`, "Isolated"},
		{`{"location":"westus","properties":{"trustModel":"isolated","attestationPolicy":"p","policySigningCertificates":{"keys":[{"kty":"x","n":1,"x5c":["` + one + `"]}]}}}`, "Isolated"},
	} {
		body := s.arm(t, "PUT", fmt.Sprintf("%s/trust%d", armProviders, n), tt.body).want(t, http.StatusCreated)
		properties := body["properties"].(map[string]any)
		if properties["trustModel"] != tt.model || properties["policySigningCertificates"] != nil || body["location"] != "westus" {
			t.Errorf("%s: %v, want %s and no certificates", tt.body, body, tt.model)
		}
	}
}

func TestARMChangesTagsAndSwitches(t *testing.T) {
	s := armService(t)
	path := armProviders + "/demo"
	s.arm(t, "PUT", path, `{"location":"westus","tags":{"Env":"Test","n":"1"},"properties":{"tpmAttestationAuthentication":"Disabled"}}`).want(t, http.StatusCreated)
	for _, tt := range []struct{ method, body, tags, network, tpm string }{
		{"PATCH", `{}`, "map[Env:Test n:1]", "<nil>", "Disabled"},
		{"PATCH", `{"Tags":{"env":"x"}}`, "map[env:x]", "<nil>", "Disabled"},
		{"PATCH", `{"properties":{"publicNetworkAccess":"Disabled"}}`, "map[env:x]", "Disabled", "Disabled"},
		{"PUT", plain, "map[env:x]", "Disabled", "Disabled"},
		{"PUT", `{"location":"West US","tags":{"a":"b"},"properties":{"publicNetworkAccess":null,"tpmAttestationAuthentication":"Enabled"}}`, "map[a:b]", "Disabled", "Enabled"},
		{"PATCH", `{"tags":{},"properties":{"publicnetworkaccess":"Enabled"}}`, "<nil>", "Enabled", "Enabled"},
	} {
		body := s.arm(t, tt.method, path, tt.body).want(t, http.StatusOK)
		p := body["properties"].(map[string]any)
		got := fmt.Sprint(body["tags"], " ", p["publicNetworkAccess"], " ", p["tpmAttestationAuthentication"])
		if want := tt.tags + " " + tt.network + " " + tt.tpm; got != want {
			t.Errorf("after %s %s: %s, want %s", tt.method, tt.body, got, want)
		}
		if again := s.arm(t, "GET", path, "").want(t, http.StatusOK); !reflect.DeepEqual(again, body) {
			t.Errorf("GET: %v, want %v", again, body)
		}
	}
}

func TestARMDeletes(t *testing.T) {
	s := armService(t)
	path := armProviders + "/demo"
	s.arm(t, "PUT", path, plain).want(t, http.StatusCreated)
	for _, status := range []int{http.StatusOK, http.StatusNoContent} {
		if a := s.arm(t, "DELETE", path, ""); a.status != status || len(a.body) > 0 {
			t.Errorf("DELETE: status %d with %q, want %d with nothing", a.status, a.body, status)
		}
	}
	s.arm(t, "GET", path, "").armRefused(t, http.StatusNotFound, "NotFound")
	if a := s.make(t, call{method: "GET", path: "/certs", host: "demo.westus.attest.test"}); a.status != http.StatusNotFound {
		t.Errorf("a deleted provider answers: %d", a.status)
	}
	s.arm(t, "PUT", path, plain).want(t, http.StatusCreated)
}

// TestARMRefusesChangesOfWhatIsFixed, and only those (management.md sections 4.3 and 5).
func TestARMRefusesChangesOfWhatIsFixed(t *testing.T) {
	s := armService(t)
	one, two, three := signerCert(t), signerCert(t), signerCert(t)
	s.arm(t, "PUT", armProviders+"/plain", plain).want(t, http.StatusCreated)
	s.arm(t, "PUT", armProviders+"/isolated", isolated(one, two)).want(t, http.StatusCreated)
	for _, tt := range []struct{ method, name, body, fixed string }{
		{"PUT", "plain", plain, ""},
		{"PUT", "plain", isolated(), ""},
		{"PUT", "plain", isolated(one), "trustModel"},
		{"PUT", "plain", strings.Replace(plain, "westus", "eastus", 1), "location"},
		{"PATCH", "plain", `{"location":"eastus"}`, "location"},
		{"PATCH", "plain", `{"properties":{"trustModel":"Isolated"}}`, "trustModel"},
		{"PUT", "isolated", plain, ""},
		{"PUT", "isolated", isolated(two, one), ""},
		{"PUT", "isolated", isolated(two, one, two), ""},
		{"PUT", "isolated", isolated(), "trustModel"},
		{"PUT", "isolated", isolated(one), "policySigningCertificates"},
		{"PUT", "isolated", isolated(one, two, three), "policySigningCertificates"},
		{"PATCH", "isolated", isolated(three), "policySigningCertificates"},
	} {
		a := s.arm(t, tt.method, armProviders+"/"+tt.name, tt.body)
		if tt.fixed == "" {
			a.want(t, http.StatusOK)
			continue
		}
		a.armRefused(t, http.StatusConflict, "Conflict", tt.fixed, "fixed when the provider was created")
	}
}

// TestARMRefusesWhatNoProviderCanBe covers names, bodies and bounds, at their edges.
func TestARMRefusesWhatNoProviderCanBe(t *testing.T) {
	s := armService(t)
	cert := signerCert(t)
	properties := func(p string) string { return `{"location":"westus","properties":` + p + `}` }
	tags := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"t%d":""`, i))
		}
		return `{"location":"westus","properties":{},"tags":{` + strings.Join(all, ",") + `}}`
	}
	for n, tt := range []struct{ name, body, fragment string }{
		{"abc", plain, ""},
		{strings.Repeat("a", 24), plain, ""},
		{"ab", plain, "3 to 24"},
		{strings.Repeat("a", 25), plain, "3 to 24"},
		{"a_c", plain, "3 to 24"},
		{"b%C3%A4r", plain, "3 to 24"},
		{"", ``, "empty"},
		{"", `[]`, "expected an object"},
		{"", `{"properties":{}}`, `"location" is missing`},
		{"", `{"location":"","properties":{}}`, "location"},
		{"", `{"location":"westus"}`, `"properties" is missing`},
		{"", `{"location":"westus","properties":[]}`, "properties"},
		{"", `{"location":"westus","Location":"westus","properties":{}}`, "duplicate"},
		{"", `{"location":"a.b/c","properties":{}}`, "location"},
		{"", `{"location":1,"properties":{}}`, "location"},
		{"", `{"location":"westus","tags":{"a":1},"properties":{}}`, "tags"},
		{"", tags(50), ""},
		{"", tags(51), "50 tags"},
		{"", properties(`{"publicNetworkAccess":"disabled"}`), "publicNetworkAccess: expected Enabled or Disabled"},
		{"", properties(`{"tpmAttestationAuthentication":"no"}`), "tpmAttestationAuthentication: expected Enabled or Disabled"},
		{"", properties(`{"trustModel":"Isolated"}`), "trustModel"},
		{"", properties(`{"trustModel":"None"}`), "trustModel"},
		{"", properties(`{"policySigningCertificates":[]}`), "JWK set"},
		{"", properties(`{"policySigningCertificates":{"keys":[{"kty":"RSA"}]}}`), "x5c"},
		{"", properties(`{"policySigningCertificates":{"keys":[{"kty":"RSA","x5c":["AAAA"]}]}}`), "x5c"},
		{"", properties(`{"policySigningCertificates":{"keys":[{"kty":"RSA","x5c":["` + strings.Repeat("A", 12000) + `"]}]}}`), "characters"},
		{"", isolated(slices.Repeat([]string{cert}, 64)...), ""},
		{"", isolated(slices.Repeat([]string{cert}, 65)...), "at most 64 keys"},
	} {
		if tt.name == "" {
			tt.name = fmt.Sprintf("refused%d", n)
		}
		a := s.arm(t, "PUT", armProviders+"/"+tt.name, tt.body)
		if tt.fragment == "" {
			a.want(t, http.StatusCreated)
			continue
		}
		a.armRefused(t, http.StatusBadRequest, "InvalidParameter", tt.fragment)
	}
	s.arm(t, "PUT", "/subscriptions/a%2Fb/resourceGroups/c/providers/Microsoft.Attestation/attestationProviders/spoof", plain).armRefused(t, http.StatusBadRequest, "InvalidParameter", "subscription")
}

// TestARMNamesAreOneForTheWholeService and a provider is at one place only.
func TestARMNamesAreOneForTheWholeService(t *testing.T) {
	s := armService(t)
	created := s.arm(t, "PUT", armProviders+"/Demo", plain).want(t, http.StatusCreated)
	same := strings.ToUpper(armProviders + "/demo")
	if got := s.arm(t, "GET", same, "").want(t, http.StatusOK); !reflect.DeepEqual(got, created) {
		t.Errorf("by a path in capitals: %v, want %v", got, created)
	}
	s.arm(t, "PUT", same, plain).want(t, http.StatusOK)
	for _, other := range []string{strings.Replace(armProviders, "Group-1", "Group-2", 1), strings.Replace(armProviders, "00a/", "00b/", 1)} {
		s.arm(t, "GET", other+"/demo", "").armRefused(t, http.StatusNotFound, "NotFound")
		s.arm(t, "PATCH", other+"/demo", `{}`).armRefused(t, http.StatusNotFound, "NotFound")
		s.arm(t, "PUT", other+"/demo", plain).armRefused(t, http.StatusConflict, "Conflict", "over the whole service")
		s.arm(t, "DELETE", other+"/demo", "").want(t, http.StatusNoContent)
		s.arm(t, "GET", other+"/demo/privateEndpointConnections", "").armRefused(t, http.StatusNotFound, "NotFound")
	}
	s.arm(t, "PUT", armProviders+"/default", plain).armRefused(t, http.StatusConflict, "Conflict")
	s.arm(t, "GET", armProviders+"/demo", "").want(t, http.StatusOK)
}

func TestARMListsBySubscriptionAndGroup(t *testing.T) {
	s := armService(t)
	const tail = "/providers/Microsoft.Attestation/attestationProviders"
	for _, path := range []string{armProviders + "/bbb", armProviders + "/aaa", armSub + "/resourceGroups/g2" + tail + "/ccc", "/subscriptions/other/resourceGroups/g2" + tail + "/ddd"} {
		s.arm(t, "PUT", path, plain).want(t, http.StatusCreated)
	}
	for _, tt := range []struct{ path, token, want string }{
		{armProviders, "", "[aaa bbb]"},
		{strings.ToUpper(armProviders), "", "[aaa bbb]"},
		{armSub + tail, "", "[aaa bbb ccc]"},
		{"/subscriptions/other" + tail, "", "[ddd]"},
		{"/subscriptions/nobody" + tail, "", "[]"},
		{armSub + tail, s.token(t, auth.Reader), "[aaa bbb ccc]"},
		{armSub + tail, s.owned(t, auth.Reader, "aaa", "ddd"), "[aaa]"},
		{armSub + tail, s.owned(t, auth.Owner, "not-there"), "[]"},
	} {
		a := s.make(t, call{method: "GET", path: tt.path, version: "2021-06-01", token: tt.token})
		if got := namesIn(a.want(t, http.StatusOK), "value"); got != tt.want || bytes.Contains(a.body, []byte("nextLink")) {
			t.Errorf("%s: %s, want %s", tt.path, got, tt.want)
		}
	}
}

// namesIn gives the names in a list.
func namesIn(body map[string]any, member string) string {
	list := []any{}
	for _, p := range body[member].([]any) {
		list = append(list, p.(map[string]any)["name"])
	}
	return fmt.Sprint(list)
}
