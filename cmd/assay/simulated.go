package main

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// simulatedIntel is the vendor that development mode trusts: its root, and its collateral service without a network.
func simulatedIntel(cfg config.Config, now func() time.Time) (*server.Simulated, error) {
	if !cfg.At.IsZero() {
		now = func() time.Time { return cfg.At }
	}
	intel := assaytest.WellKnownIntel()
	root, err := intel.RootPEM()
	if err != nil {
		return nil, err
	}
	source, err := collateral.NewWeb(collateral.WebConfig{
		URL: "https://simulated-intel.invalid", Client: &http.Client{Transport: inProcess{assaytest.NewPCS(intel, now)}},
	})
	if err != nil {
		return nil, err
	}
	return &server.Simulated{Root: root, Source: source}, nil
}

// inProcess is a transport that asks a handler instead of the network.
type inProcess struct{ handler http.Handler }

// RoundTrip answers the request by the handler.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}
