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

// simulatedVendors are those that development mode trusts: the root of Intel, with its collateral service without a network, the
// authorities of AMD, and the roots of the maker of TPMs, for attestation keys and for endorsement keys (aik_enrolment vendor).
func simulatedVendors(cfg config.Config, now func() time.Time) (*server.Simulated, error) {
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
	simulated := &server.Simulated{Root: root, Source: source}
	maker := assaytest.WellKnownTPMVendor()
	if simulated.AIKRoot, err = maker.CertificatePEM(assaytest.AIKRoot); err != nil {
		return nil, err
	}
	if simulated.EKRoot, err = maker.CertificatePEM(assaytest.EKRoot); err != nil {
		return nil, err
	}
	simulated.AMDRoots, err = assaytest.WellKnownAMD().Authorities()
	return simulated, err
}

// inProcess is a transport that asks a handler instead of the network.
type inProcess struct{ handler http.Handler }

// RoundTrip answers the request by the handler.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}
