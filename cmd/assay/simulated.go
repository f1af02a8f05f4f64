package main

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
)

// simulatedVendors are those that development mode trusts: the root of Intel, with its collateral service without a network; the
// authorities of AMD, with its key service; and the authorities of the maker of TPMs, for attestation keys, those of Azure's guests included, and the root for
// endorsement keys (aik_enrolment vendor).
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
	if simulated.AIKRoots, err = certificatesOf(maker, assaytest.AIKRoot, assaytest.VTPMRoot, assaytest.VTPMIssuer); err != nil {
		return nil, err
	}
	if simulated.EKRoot, err = maker.CertificatePEM(assaytest.EKRoot); err != nil {
		return nil, err
	}
	if simulated.AMDRoots, err = assaytest.WellKnownAMD().Authorities(); err != nil {
		return nil, err
	}
	service := inProcess{assaytest.NewKDS(assaytest.WellKnownAMD(), now)}
	simulated.KeyService = &http.Client{Transport: inProcessFirst{service, http.DefaultTransport}}
	return simulated, nil
}

// certificatesOf are certificates of a simulated maker of TPMs, PEM, one behind the other.
func certificatesOf(maker *assaytest.TPMVendor, roles ...assaytest.TPMRole) (all []byte, err error) {
	for _, r := range roles {
		b, err := maker.CertificatePEM(r)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// inProcessFirst is a transport that asks a handler, and the network for what that does not have. It is for requests without a body.
type inProcessFirst struct {
	inProcess
	network http.RoundTripper
}

// RoundTrip answers the request by the handler, or by the network.
func (t inProcessFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.inProcess.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusNotFound {
		return t.network.RoundTrip(r)
	}
	return answer, err
}

// inProcess is a transport that asks a handler instead of the network.
type inProcess struct{ handler http.Handler }

// RoundTrip answers the request by the handler.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// simulatedGuests has the default provider know the secure-boot keys of simulated Azure guests, unless it is told others.
func simulatedGuests(s *provider.AzureSettings) error {
	if s.SecureBootKeys != nil {
		return nil
	}
	keys, err := assaytest.WellKnownAzureHost(assaytest.AzureSevSnp, time.Time{}).SecureBootKeys()
	if err != nil {
		return err
	}
	s.SecureBootKeys = []provider.SecureBootKeys{{PK: keys.PK, KEK: keys.KEK, DB: keys.DB, DBX: keys.DBX}}
	return nil
}
