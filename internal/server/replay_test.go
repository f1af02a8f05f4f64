package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// replay is an entry's way to be sent again, as vectors/maa/README.md section 5 describes it.
type replay struct {
	Collateral, Root, At, Expiry, Policy, Draft string
	Method, Path, Answer                        string
	Evidence, Instance                          string
	Signers, After                              []string
	RuntimeData                                 string `json:"runtime_data"`
	RuntimeType                                 string `json:"runtime_type"`
	Ignore                                      []string
	Refusal                                     *struct {
		Status                    int
		Code, Innercode, Fragment string
	}
	Skip string
}

// exchange is a recorded request with its answer.
type exchange struct {
	Request struct {
		Method, Path string
		Body         any
	}
	Response struct {
		Status int
		Body   json.RawMessage
	}
}

// TestRecordedExchanges sends every recorded exchange of the routes that exist here and compares member by member.
func TestRecordedExchanges(t *testing.T) {
	var index map[string]struct{ Replay *replay }
	vectortest.ReadJSON(t, "maa/index.json", &index)
	ran := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		r := index[name].Replay
		if r == nil || r.Skip != "" {
			continue
		}
		ex := r.exchange(t, name)
		part, _, _ := strings.Cut(strings.TrimPrefix(ex.Request.Path, "/"), "/")
		ran[part]++
		t.Run(name, func(t *testing.T) { r.run(t, ex) })
	}
	for _, part := range []string{"attest", "policies", "certificates?api-version=2020-10-01", "certificates:add?api-version=2020-10-01", ".well-known"} {
		if ran[part] == 0 {
			vectortest.NoCase(t, "exchange of /"+part+" to replay")
		}
	}
}

// exchange reads the recorded exchange, or builds it where only its parts are kept.
func (r *replay) exchange(t *testing.T, name string) exchange {
	t.Helper()
	var ex exchange
	if r.Evidence == "" && r.Answer != "" {
		vectortest.ReadJSON(t, "maa/"+name, &ex.Request.Body)
		return r.answered(t, ex)
	}
	if r.Evidence == "" {
		if strings.HasPrefix(name, "exchanges/") {
			vectortest.ReadJSON(t, "maa/"+name, &ex)
		}
		return ex
	}
	member := "quote"
	if strings.Contains(strings.ToLower(r.Path), "openenclave") {
		member = "report"
	}
	body := map[string]any{member: base64.RawURLEncoding.EncodeToString(vectortest.Read(t, r.Evidence))}
	if r.RuntimeData != "" {
		body["runtimeData"] = map[string]string{
			"data": base64.RawURLEncoding.EncodeToString(vectortest.Read(t, r.RuntimeData)), "dataType": r.RuntimeType,
		}
	}
	ex.Request.Body = body
	return r.answered(t, ex)
}

// answered completes an exchange of which the body of the request and the token are kept.
func (r *replay) answered(t *testing.T, ex exchange) exchange {
	t.Helper()
	ex.Request.Method, ex.Request.Path = r.Method, r.Path
	ex.Response.Status = http.StatusOK
	token, err := json.Marshal(map[string]string{"token": strings.TrimSpace(string(vectortest.Read(t, r.Answer)))})
	if err != nil {
		t.Fatal(err)
	}
	ex.Response.Body = token
	return ex
}

func (r *replay) run(t *testing.T, ex exchange) {
	before := make([]exchange, len(r.After))
	for i, name := range r.After {
		vectortest.ReadJSON(t, name, &before[i])
	}
	service := start(t, r.config(t, append(slices.Clone(before), ex)))
	for i, b := range before {
		if status, body := service.send(t, b); status != b.Response.Status {
			t.Fatalf("%s: status %d, want %d: %s", r.After[i], status, b.Response.Status, body)
		}
	}
	status, body := service.send(t, ex)
	if r.Refusal != nil {
		r.compareRefusal(t, status, body)
		return
	}
	if status != ex.Response.Status {
		t.Fatalf("status %d, want %d: %s", status, ex.Response.Status, body)
	}
	for _, difference := range differences("", opened(t, body), opened(t, ex.Response.Body), r.Ignore) {
		t.Error(difference)
	}
	r.checkPolicy(t, service, ex)
}

// config is what the service runs with for the exchanges: the provider isolated or not, and the default policy where the recorded
// answer depends on it.
func (r *replay) config(t *testing.T, all []exchange) config.Config {
	t.Helper()
	var cfg config.Config
	for _, name := range r.Signers {
		cfg.PolicySigners = append(cfg.PolicySigners, vectortest.Path(t, name))
	}
	if (r.Instance == "isolated") != (len(r.Signers) > 0) {
		t.Fatalf("instance %q with signers %q", r.Instance, r.Signers)
	}
	if r.Collateral != "" {
		cfg.Collateral = []string{vectortest.Path(t, r.Collateral)}
		cfg.Settings.CollateralExpiry = r.Expiry
	}
	if r.Root != "" {
		cfg.AMDRoots = []string{vectortest.Path(t, r.Root)}
	}
	if r.At != "" {
		at, err := time.Parse(time.RFC3339, r.At)
		if err != nil {
			t.Fatal(err)
		}
		cfg.At = at
	}
	if strings.Contains(r.Policy, "/") && !policySet(all) {
		file := vectortest.Path(t, r.Policy)
		cfg.Policies = map[string]string{"SgxEnclave": file, "OpenEnclave": file}
	}
	return cfg
}

// policySet tells whether the policy in force after the exchanges is one of theirs, and not the default.
func policySet(all []exchange) (set bool) {
	for _, ex := range all {
		switch ex.Request.Method {
		case http.MethodPut:
			set = true
		case http.MethodPost:
			set = set && !strings.Contains(ex.Request.Path, ":reset")
		}
	}
	return set
}

// checkPolicy compares the policy that is in force after an exchange of /policies with the text that the index names.
func (r *replay) checkPolicy(t *testing.T, service *testService, ex exchange) {
	t.Helper()
	if !strings.HasPrefix(ex.Request.Path, "/policies/") || !strings.Contains(r.Policy, "/") {
		return
	}
	var get exchange
	get.Request.Method, get.Request.Path = http.MethodGet, ex.Request.Path
	status, body := service.send(t, get)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	jws, _ := opened(t, body).(map[string]any)["payload"].(map[string]any)["x-ms-policy"].(string)
	if got, want := policyText(t, jws), string(vectortest.Read(t, r.Policy)); got != want {
		t.Errorf("policy in force: got %q, want %q", got, want)
	}
}

// policyText takes the text out of a policy JWS, signed or not.
func policyText(t testing.TB, jws string) string {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("policy JWS of %d parts: %q", len(parts), jws)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var stored struct{ AttestationPolicy string }
	decode(t, payload, &stored)
	text, err := base64.RawURLEncoding.DecodeString(stored.AttestationPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r *replay) compareRefusal(t *testing.T, status int, body []byte) {
	t.Helper()
	var got struct {
		Error struct {
			Code, Message string
			Innererror    struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	e, want := got.Error, r.Refusal
	if status != want.Status || e.Code != want.Code || e.Innererror.Code != want.Innercode || !strings.Contains(e.Message, want.Fragment) {
		t.Errorf("got %d %s, want %+v", status, body, *want)
	}
}

// send sends the request as recorded, with a token of somebody who may do it.
func (s *testService) send(t *testing.T, ex exchange) (int, []byte) {
	t.Helper()
	var body io.Reader
	switch b := ex.Request.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(ex.Request.Method, s.URL+ex.Request.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.token(t, auth.Contributor))
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// opened is the body as a tree; a token in it is replaced by its header and payload.
func opened(t testing.TB, body []byte) any {
	t.Helper()
	var tree map[string]any
	decode(t, body, &tree)
	token, ok := tree["token"].(string)
	if !ok {
		return tree
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token of %d parts", len(parts))
	}
	out := map[string]any{"signed": parts[2] != ""}
	for i, name := range []string{"header", "payload"} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var member any
		decode(t, b, &member)
		out[name] = member
	}
	return out
}

func decode(t testing.TB, b []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

// differences compares two trees member by member; a pointer in ignore may differ or be missing.
func differences(pointer string, got, want any, ignore []string) []string {
	if slices.Contains(ignore, pointer) {
		return nil
	}
	g, ok1 := got.(map[string]any)
	w, ok2 := want.(map[string]any)
	if !ok1 || !ok2 {
		if !reflect.DeepEqual(got, want) {
			return []string{pointer + ": got " + text(got) + ", want " + text(want)}
		}
		return nil
	}
	var list []string
	names := maps.Clone(g)
	maps.Copy(names, w)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, differences(pointer+"/"+name, g[name], w[name], ignore)...)
	}
	return list
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
