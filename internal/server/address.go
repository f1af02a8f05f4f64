package server

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/internal/issuer"
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

// checkAddresses reports a configuration by which no provider could be created, or one could take the requests of another.
func (s *Server) checkAddresses() error {
	switch {
	case s.cfg.ProviderURL != "":
		example, _, err := s.byHostName("name", "location", nil)
		if err != nil {
			return err
		}
		return cmp.Or(within("provider_url", checkHost(example)), within("url", checkHost(s.cfg.URL)))
	case s.cfg.ProviderListen != "":
		_, _, _, err := portRange(s.cfg.ProviderListen)
		return err
	}
	return nil
}

// checkHost checks an URL of a provider that is told from others by the Host header. The header may or may not have the usual
// port, so that two URLs must not differ in it.
func checkHost(text string) error {
	if err := issuer.CheckURL(text); err != nil {
		return err
	}
	for _, usual := range []string{":443", ":80"} {
		if host, has := strings.CutSuffix(text, usual); has {
			return fmt.Errorf("expected %s without the usual port, found %q", host, text)
		}
	}
	return nil
}

func within(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
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
