package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// signerList is the result of signer list.
type signerList struct {
	Signers []*certificateReport `json:"signers"`
}

func (l *signerList) print(s sheet, _ error) {
	if len(l.Signers) == 0 {
		s.heading(yellow, "NONE", "the provider has no policy signers: whoever has the role may set its policies")
		return
	}
	s.heading(green, "SIGNERS", fmt.Sprint(len(l.Signers)))
	for i, signer := range l.Signers {
		if i > 0 {
			fmt.Fprintln(s.w)
		}
		s.rows(signer.rows("signer", 1)...)
	}
}

// runSignerList lists the policy management certificates (api.md section 9.1).
func runSignerList(ctx context.Context, c *call) error {
	var r remote
	if err := r.parse(c); err != nil {
		return err
	}
	token, err := r.result(ctx, message{method: http.MethodGet, path: "/certificates"}.with(apiVersion))
	if err != nil {
		return c.tellService(err)
	}
	set, ok := token.JSON(claimPolicyCertificates)
	if !ok {
		return &serviceError{err: fmt.Errorf("the service answered without the claim %s", claimPolicyCertificates)}
	}
	list, err := readSigners(set)
	if err != nil {
		return &serviceError{err: fmt.Errorf("claim %s: %w", claimPolicyCertificates, err)}
	}
	return c.tell(list, nil)
}

// readSigners reads the JWK set of signers. The certificate of each is the first of its x5c.
func readSigners(set []byte) (*signerList, error) {
	var keys struct {
		Keys []struct {
			Chain []string `json:"x5c"`
		} `json:"keys"`
	}
	if err := strictjson.Exact(set, &keys); err != nil {
		return nil, err
	}
	list := &signerList{Signers: []*certificateReport{}}
	for i, key := range keys.Keys {
		if len(key.Chain) == 0 {
			return nil, fmt.Errorf("key %d has no certificate", i+1)
		}
		der, err := b64.Decode(key.Chain[0])
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		list.Signers = append(list.Signers, reportCertificate(cert))
	}
	return list, nil
}

// signerChange is the result of signer add and signer remove.
type signerChange struct {
	Result      string             `json:"result"`      // IsPresent or IsAbsent, as the service says
	Certificate *certificateReport `json:"certificate"` // the one added or removed
	Signer      *certificateReport `json:"signer"`      // who signed that
	done        string
}

func (r *signerChange) print(s sheet, _ error) {
	s.heading(green, r.done, r.Certificate.Subject)
	s.rows(append(r.Certificate.rows("certificate", 1), row{"signed by", r.Signer.Subject})...)
}

func runSignerAdd(ctx context.Context, c *call) error {
	return changeSigner(ctx, c, "add", signerChange{Result: "IsPresent", done: "ADDED"})
}

func runSignerRemove(ctx context.Context, c *call) error {
	return changeSigner(ctx, c, "remove", signerChange{Result: "IsAbsent", done: "REMOVED"})
}

// changeSigner sends the JWS that adds a signer or removes one (api.md section 9.2): a prepared one, or one made here.
func changeSigner(ctx context.Context, c *call, operation string, change signerChange) error {
	var r remote
	var s signing
	var prepared []byte
	c.managedVar(&r)
	s.declareKey(c)
	c.fileVar(&prepared, "jws", "send the JWS in `FILE`, which assay signer sign has made, instead of CERT")
	pos, err := c.parse("[CERT]", "--endpoint")
	if err == nil {
		err = r.ready(c)
	}
	if err != nil {
		return err
	}
	jws, err := s.certificateJWS(c, pos, prepared)
	if err != nil {
		return err
	}
	cert, _ := jws.PolicyCertificate()
	change.Certificate, change.Signer = reportCertificate(cert), reportCertificate(jws.Certificates()[0])
	m, err := jsonMessage(http.MethodPost, "/certificates:"+operation, jws.String())
	if err != nil {
		return err
	}
	token, err := r.result(ctx, m.with(apiVersion))
	if err == nil {
		err = claim(token, claimCertificatesResult, change.Result)
	}
	if err == nil {
		err = claim(token, claimThumbprint, policyjws.Thumbprint(cert))
	}
	if err != nil {
		return c.tellService(err)
	}
	return c.tell(&change, nil)
}

// certificateJWS takes the JWS that is prepared, or makes one of the certificate named.
func (s *signing) certificateJWS(c *call, pos []string, prepared []byte) (*policyjws.Parsed, error) {
	switch {
	case prepared == nil && len(pos) == 0:
		return nil, usage("CERT or --jws is missing")
	case prepared != nil && len(pos) > 0:
		return nil, usage("CERT and --jws exclude each other: the JWS has the certificate in it")
	case prepared != nil && (s.key != nil || s.chain != nil || s.algorithm != ""):
		return nil, usage("--key, --cert and --alg go with CERT: what --jws holds is signed already")
	case prepared == nil:
		jws, err := s.signCertificate(c, pos[0])
		if err != nil {
			return nil, err
		}
		prepared = []byte(jws)
	}
	jws, err := policyjws.Parse(bytes.TrimSpace(prepared), policyjws.Options{})
	if err == nil {
		err = jws.Expect(policyjws.ChangeSigners)
	}
	if err == nil && !jws.Signed() {
		err = errors.New("--jws: the JWS is not signed: an existing signer must have signed it")
	}
	return jws, err
}

// signCertificate makes the JWS of the certificate in a file.
func (s *signing) signCertificate(c *call, file string) (string, error) {
	switch {
	case s.key == nil:
		return "", usage("--key is missing: an existing signer must sign")
	case s.chain == nil:
		return "", usage("--cert is missing")
	}
	certs, err := inPEM(c, file, pemCertificates)
	if err != nil {
		return "", err
	}
	if len(certs) != 1 {
		return "", badFile(fmt.Errorf("%s: expected one certificate, found %d", file, len(certs)))
	}
	signer, err := s.signer()
	if err != nil {
		return "", badFile(err)
	}
	return signer.PolicyCertificate(certs[0])
}

// runSignerSign makes the JWS that adds a signer or removes one, where the key is: the service need not be reached from there.
func runSignerSign(_ context.Context, c *call) error {
	var s signing
	s.declareKey(c)
	c.StringVar(&s.out, "out", "", "write to `FILE`")
	pos, err := c.parse("CERT")
	if err != nil {
		return err
	}
	jws, err := s.signCertificate(c, pos[0])
	if err != nil {
		return err
	}
	return s.tell(c, jws)
}
