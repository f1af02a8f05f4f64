package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

// address gives new providers their URLs as the configuration wants it, nil if it does not say.
func (s *Server) address() provider.Address {
	switch {
	case s.cfg.ProviderURL != "":
		return s.byHostName
	case s.cfg.ProviderListen != "":
		return s.byPort
	}
	return nil
}

// byHostName makes an URL of the template of the configuration.
func (s *Server) byHostName(name, location string, _ []store.Provider) (string, string, error) {
	return strings.ToLower(strings.NewReplacer("{name}", name, "{location}", location).Replace(s.cfg.ProviderURL)), "", nil
}

// byPort makes an URL of that of the default provider and a port which no provider has and on which this process can listen.
func (s *Server) byPort(_, _ string, taken []store.Provider) (string, string, error) {
	host, first, last, err := portRange(s.cfg.ProviderListen)
	if err != nil {
		return "", "", err
	}
	base, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "", "", err
	}
	for port := first; port <= last; port++ {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		if slices.ContainsFunc(taken, func(p store.Provider) bool { return port != 0 && p.Listen == address }) {
			continue
		}
		free, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		address = free.Addr().String()
		if err := free.Close(); err != nil {
			return "", "", err
		}
		_, text, err := net.SplitHostPort(address)
		return base.Scheme + "://" + net.JoinHostPort(base.Hostname(), text), address, err
	}
	return "", "", fmt.Errorf("%w: no port of %s is free", provider.ErrNoURL, s.cfg.ProviderListen)
}

// portRange reads an address whose port may be a range.
func portRange(text string) (host string, first, last int, err error) {
	host, ports, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, 0, fmt.Errorf("provider_listen: %w", err)
	}
	low, high, isRange := strings.Cut(ports, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if err := errors.Join(err1, err2); err != nil || first < 0 || last > 65535 || first > last {
		return "", 0, 0, fmt.Errorf("provider_listen: expected an address such as 127.0.0.1:9000-9099, found %q", text)
	}
	return host, first, last, nil
}
