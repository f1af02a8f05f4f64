package server_test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/auth/authtest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
)

// Names of the two Entra issuers, and the id of the application that stands in the tokens of the second version.
const (
	entraV1     = "https://sts.windows.net/8a6b4c02-0000-4000-8000-000000000001/"
	entraV2     = "https://login.microsoftonline.com/8a6b4c02-0000-4000-8000-000000000001/v2.0"
	application = "0f7be1f4-27a9-4b5c-9a36-5d4d6a1f0b11"
)

// estate is a service with several providers, each on a listener of its own, whose callers come from Entra.
type estate struct {
	service *server.Server
	cfg     config.Config
	sites   map[string]*httptest.Server
	ids     map[string]string
	v1, v2  *authtest.Issuer
	dev     *auth.DevKey
	intel   *assaytest.Intel
}

// startEstate runs the default provider and those given, of which only what matters need be filled in. It is not in
// development mode unless cfg.Dev.
func startEstate(t testing.TB, cfg config.Config, others ...store.Provider) *estate {
	t.Helper()
	e := &estate{
		sites: map[string]*httptest.Server{}, ids: map[string]string{}, v1: authtest.Start(t, entraV1), v2: authtest.Start(t, entraV2),
		intel: assaytest.WellKnownIntel(),
	}
	names := []string{provider.Default}
	for i := range others {
		names = append(names, others[i].Name)
	}
	for _, name := range names {
		e.sites[name] = httptest.NewUnstartedServer(nil)
		e.sites[name].Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		e.sites[name].StartTLS()
	}
	e.configure(t, cfg, names)
	e.addProviders(t, others)
	e.open(t)
	return e
}

// configure fills in what every estate has.
func (e *estate) configure(t testing.TB, cfg config.Config, names []string) {
	t.Helper()
	cfg.URL, cfg.InsecureHTTP = e.sites[provider.Default].URL, !cfg.Dev // TLS is that of the sites
	if cfg.Data == "" {
		cfg.Data = dataFolder(t, cfg)
	}
	if cfg.Limits.Denied == (config.Rate{}) {
		cfg.Limits.Denied.PerSecond = -1
	}
	if !cfg.Dev && len(cfg.Collateral) == 0 && cfg.CollateralSource == "" {
		cfg.CollateralSource = "http://127.0.0.1:9" // nobody is there
	}
	rules := []auth.Rule{{Claim: "roles", Value: "All.owner", Role: auth.Owner, Providers: []string{auth.AllProviders}}}
	for _, name := range names {
		for _, role := range []auth.Role{auth.Reader, auth.Contributor, auth.Owner} {
			rules = append(rules, auth.Rule{Claim: "roles", Value: name + "." + string(role), Role: role, Providers: []string{name}})
		}
	}
	second := e.v2.Config(rules...)
	second.Audiences = []string{application}
	cfg.Auth.Issuers = []auth.Issuer{e.v1.Config(rules...), second}
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	var err error
	if e.dev, err = auth.LoadOrCreateDevKey(cfg.Data); err != nil { // also where its tokens are worth nothing
		t.Fatal(err)
	}
	e.cfg = cfg
}

// addProviders puts providers into the store before the service starts, which makes their keys.
func (e *estate) addProviders(t testing.TB, others []store.Provider) {
	t.Helper()
	kept, err := store.Open(t.Context(), filepath.Join(e.cfg.Data, server.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = kept.Write(t.Context(), func(tx *store.Tx) error {
		for _, p := range others {
			p.ID, p.URL, p.Isolated = provider.NewID(), cmp.Or(p.URL, e.sites[p.Name].URL), len(p.Signers) > 0
			e.ids[p.Name] = p.ID
			if err := tx.AddProvider(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (e *estate) open(t testing.TB) {
	t.Helper()
	opt := server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
	if e.cfg.Dev {
		opt.Simulated = simulated(t, e.intel, assaytest.NewPCS(e.intel, time.Now))
	}
	s, err := server.New(e.cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	e.service = s
	for name, site := range e.sites {
		site.Config.Handler = http.Handler(s)
		if id := e.ids[name]; id != "" {
			site.Config.Handler = s.For(id)
		}
	}
	t.Cleanup(sync.OnceFunc(func() {
		for _, site := range e.sites {
			site.Close()
		}
		s.Close()
	}))
}

// claims are those of an access token of Entra v1 for a role such as default.reader.
func (e *estate) claims(role string, changes ...any) map[string]any {
	return changed(e.v1.ClaimsV1(time.Now()), append([]any{"roles", []string{role}}, changes...)...)
}

func changed(claims map[string]any, changes ...any) map[string]any {
	claims = maps.Clone(claims)
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	return claims
}

// token is an access token of Entra v1 for a role such as default.reader.
func (e *estate) token(role string) string { return e.v1.Token(e.claims(role)) }

// sending is a request to one of the providers.
type sending struct {
	at            string // name of the provider; empty: the default one
	method, path  string
	body          string
	contentType   string
	token         string // empty: none
	host          string // empty: the one of the URL
	authorization string // instead of a token
	ifMatch       string // headers; empty: none
	ifNoneMatch   string
}

// send sends a request. Unlike testService.do it leaves the judgement of the answer's form to the test.
func (e *estate) send(t testing.TB, q sending) answer {
	t.Helper()
	a, err := e.trySend(q)
	if err != nil {
		t.Fatalf("%s %.80s: %v", q.method, q.path, err)
	}
	return a
}

// trySend is send for goroutines other than the test's.
func (e *estate) trySend(q sending) (answer, error) {
	site := e.sites[provider.Default]
	if q.at != "" {
		site = e.sites[q.at]
	}
	r, err := http.NewRequestWithContext(context.Background(), q.method, site.URL+q.path, strings.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	for name, value := range map[string]string{"If-Match": q.ifMatch, "If-None-Match": q.ifNoneMatch} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if q.token != "" {
		q.authorization = "Bearer " + q.token
	}
	if q.authorization != "" {
		r.Header.Set("Authorization", q.authorization)
	}
	r.Host = q.host
	res, err := site.Client().Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}

// trail reads the audit trail of the service that keeps its data in a folder.
func trail(t testing.TB, folder string) (records []auditRecord) {
	t.Helper()
	name := filepath.Join(folder, "assay.db")
	if _, err := os.Stat(name); err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	err = kept.Read(t.Context(), func(tx *store.Tx) error {
		entries, err := tx.Audit(1, 10000)
		for _, entry := range entries {
			var r auditRecord
			decode(t, entry.Record, &r)
			r.text = string(entry.Record)
			records = append(records, r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// auditRecord is what the tests look at of a record of management.md section 11.2.
type auditRecord struct {
	OperationName   string
	ResultSignature string
	CallerIPAddress string
	Identity        string
	Properties      struct{ RequestID, Provider, Code, Check, FailureDetails, Before, After string }

	text string
}
