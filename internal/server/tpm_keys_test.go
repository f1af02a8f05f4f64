package server_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/relyingparty"
)

// timeMachine is a service with one URL and one folder that can be started again at another time.
type timeMachine struct {
	testService
	cfg     config.Config
	running *server.Server
	ahead   time.Duration
}

func newTimeMachine(t *testing.T, cfg config.Config) *timeMachine {
	t.Helper()
	hs := httptest.NewUnstartedServer(nil)
	hs.StartTLS()
	t.Cleanup(hs.Close)
	cfg.Dev, cfg.URL, cfg.Data = true, hs.URL, dataFolder(t, cfg)
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	dev, err := auth.LoadOrCreateDevKey(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	m := &timeMachine{testService: testService{Server: hs, log: new(logged), data: cfg.Data, dev: dev}, cfg: cfg}
	t.Cleanup(func() { m.running.Close() })
	m.startAhead(t, 0)
	return m
}

// clock is that of the service as it was started last.
func (m *timeMachine) clock() time.Time { return time.Now().Add(m.ahead) }

// startAhead starts the service again, that much ahead of today.
func (m *timeMachine) startAhead(t *testing.T, ahead time.Duration) {
	t.Helper()
	if m.running != nil {
		m.running.Close()
	}
	m.ahead = ahead
	intel := assaytest.WellKnownIntel()
	s, err := server.New(m.cfg, server.Options{
		Logger: slog.New(slog.NewJSONHandler(m.log, nil)), Clock: func() time.Time { return time.Now().Add(ahead) },
		Simulated: simulated(t, intel, assaytest.NewPCS(intel, time.Now)),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.running, m.Config.Handler = s, s
}

// verify relies on a token at the time of the service.
func (m *timeMachine) verify(t *testing.T, token string) error {
	t.Helper()
	v, err := relyingparty.New(relyingparty.Config{Issuer: m.URL, HTTPClient: m.Client(), AllowDevelopment: true, Clock: m.clock})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), token)
	return err
}

// TestKeysStayListedWhileReportsLive: the key of a report of a year is superseded and must be listed until the report has expired, over
// restarts of the service (tokens.md section 3.2). With reports of a day only it goes after a day.
func TestKeysStayListedWhileReportsLive(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name, property string
		listed, gone   time.Duration
	}{
		{"a year", `=> issueproperty(type="report_validity_in_minutes", value=525600);`, 365*day - time.Minute, 366 * day},
		{"a day", "", day - time.Minute, 2 * day},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config.Config{
				Policies: map[string]string{"Tpm": tempFile(t, tpmPolicy(pcrs0to14, "=> permit();", tt.property))},
				Settings: provider.Settings{TPMAttestationAuthentication: "Disabled"},
			}
			m := newTimeMachine(t, cfg)
			c := tpmClient{&m.testService, tpmPath, ""}
			sc := windows(t)
			var first, second struct{ Report string }
			_, a := c.rounds(t, sc)
			a.inner(t, false, &first)
			m.do(t, http.MethodPost, "/assay/v1/keys:rotate?emergency=true", "", "Authorization", "Bearer "+m.token(t, auth.Owner)).want(t, http.StatusOK)
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // for a key of this very second
			_, a = c.rounds(t, sc)
			a.inner(t, false, &second)
			old, _ := jwsParts(t, first.Report)
			if header, _ := jwsParts(t, second.Report); header == old {
				t.Fatal("the old key signs still")
			}
			m.startAhead(t, tt.listed)
			if err := m.verify(t, first.Report); err != nil {
				t.Errorf("%s later: %v", tt.listed, err)
			}
			m.startAhead(t, tt.gone)
			if m.lists(t, old) {
				t.Errorf("%s later the key is listed still", tt.gone)
			}
			_, a = c.rounds(t, sc) // and new reports are made
			var third struct{ Report string }
			a.inner(t, false, &third)
			if err := m.verify(t, third.Report); err != nil {
				t.Error(err)
			}
		})
	}
}

// lists reports whether the key of a token's header is listed.
func (m *timeMachine) lists(t *testing.T, header string) bool {
	t.Helper()
	var h struct{ Kid string }
	decode(t, []byte(header), &h)
	var set struct{ Keys []struct{ Kid string } }
	decode(t, m.do(t, http.MethodGet, "/certs", "").body, &set)
	for _, k := range set.Keys {
		if k.Kid == h.Kid {
			return true
		}
	}
	return false
}
