package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// pinned is the result of aik pin and of aik unpin.
type pinned struct {
	Kind   string `json:"kind"`            // ek or aik
	Hash   string `json:"hash"`            // SHA-256 of the key's SubjectPublicKeyInfo, hex
	Result string `json:"result"`          // pinned, already-pinned or unpinned
	From   string `json:"source,omitzero"` // what the file held
}

func (p *pinned) print(s sheet, _ error) {
	s.heading(green, strings.ToUpper(strings.ReplaceAll(p.Result, "-", " ")), p.Kind+" "+p.Hash)
	s.rows(row{"key", p.From})
}

// pinCall is a key to pin, or whose pin to take away.
type pinCall struct {
	remote
	kind, hash string
	from       string
}

// parse reads the arguments: a file that holds the key, or its hash.
func (p *pinCall) parse(c *call) error {
	c.managedVar(&p.remote)
	c.StringVar(&p.kind, "kind", "", "`KIND` of key: ek (its TPM may enrol attestation keys) or aik (reports of this key count as of a TPM)")
	c.Func("hash", "SHA-256 `HEX` of the key's SubjectPublicKeyInfo, instead of a file", func(s string) (err error) {
		p.hash, err = keyHash(s)
		return err
	})
	pos, err := c.parse("--kind", "--endpoint", "[FILE]")
	switch {
	case err != nil:
		return err
	case p.kind != "ek" && p.kind != "aik":
		return usage("--kind %q: expected ek or aik", p.kind)
	case (p.hash == "") == (len(pos) == 0):
		return usage("expected a FILE with the key, or --hash")
	}
	if len(pos) > 0 {
		if err := p.read(c, pos[0]); err != nil {
			return err
		}
	}
	return p.ready(c)
}

// keyHash reads a hash that a person typed.
func keyHash(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("expected %d hexadecimal digits", 2*sha256.Size)
	}
	return hex.EncodeToString(b), nil
}

// read reads the key from a file and computes its hash.
func (p *pinCall) read(c *call, file string) error {
	b, err := c.read(file)
	if err != nil {
		return err
	}
	k, err := readKey(b)
	if err != nil {
		return badFile(fmt.Errorf("%s: %w", file, err))
	}
	hash, err := tpm.HashKey(k.key)
	if err != nil {
		return err
	}
	if err := p.suits(c, k, file); err != nil {
		return err
	}
	p.hash, p.from = hash.String(), k.from
	return nil
}

// suits checks that the key can be of the kind, as far as the file tells.
func (p *pinCall) suits(c *call, k *foundKey, file string) error {
	switch {
	case k.area != nil && p.kind == "aik":
		return k.area.CheckAIK()
	case k.area != nil:
		return k.area.CheckEK()
	case p.kind == "aik":
		c.warn("%s does not say that the key is a restricted one of a TPM: pin it only if you know that it is", file)
	}
	return nil
}

// foundKey is a public key and what it was found in.
type foundKey struct {
	key  crypto.PublicKey
	area *tpm.Public // nil: the file is not of a TPM
	from string
}

// readKey reads a public key: in PEM or DER as SubjectPublicKeyInfo or in a certificate, or a TPMT_PUBLIC or TPM2B_PUBLIC.
func readKey(b []byte) (*foundKey, error) {
	if len(b) > maxPEM {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(b), maxPEM)
	}
	if bytes.Contains(b, []byte("-----BEGIN ")) {
		block, rest := pem.Decode(b)
		switch {
		case block == nil:
			return nil, errors.New("the PEM is damaged")
		case bytes.Contains(rest, []byte("-----BEGIN ")):
			return nil, errors.New("expected one key or certificate, found more")
		case block.Type != "CERTIFICATE" && block.Type != "PUBLIC KEY":
			return nil, fmt.Errorf("expected a PUBLIC KEY or CERTIFICATE, found %q", block.Type)
		}
		b = block.Bytes
	}
	if !bytes.HasPrefix(b, []byte{0x30}) {
		return readArea(b)
	}
	if key, err := x509.ParsePKIXPublicKey(b); err == nil {
		return &foundKey{key, nil, "a public key"}, nil
	}
	cert, err := tpm.ParseCertificate(b)
	if err != nil {
		return nil, fmt.Errorf("neither a public key nor a certificate: %w", err)
	}
	return &foundKey{cert.PublicKey, nil, "a certificate of " + shorten(cert.Subject.String())}, nil
}

// readArea reads the public area of a key as TPMs give it, with its size in front or without.
func readArea(b []byte) (*foundKey, error) {
	if len(b) >= 2 && int(binary.BigEndian.Uint16(b)) == len(b)-2 {
		b = b[2:]
	}
	area, err := tpm.ParsePublic(b)
	if err != nil {
		return nil, fmt.Errorf("neither PEM nor DER, nor the public area of a TPM's key: %w", err)
	}
	return &foundKey{area.Key, area, "a public area of a TPM"}, nil
}

// target is the message about the pin.
func (p *pinCall) target(method string) message {
	if p.kind == "ek" {
		return message{method: method, path: nativeRoutes + "/ek/" + p.hash}
	}
	return message{method: method, path: nativeRoutes + "/aik/pins/" + p.hash}
}

// runAIKPin pins a key, by its hash.
func runAIKPin(ctx context.Context, c *call) error {
	return c.changePin(ctx, http.MethodPut, func(a *answer) string {
		if a.status == http.StatusCreated {
			return "pinned"
		}
		return "already-pinned"
	})
}

// runAIKUnpin takes the pin of a key away.
func runAIKUnpin(ctx context.Context, c *call) error {
	return c.changePin(ctx, http.MethodDelete, func(*answer) string { return "unpinned" })
}

func (c *call) changePin(ctx context.Context, method string, outcome func(*answer) string) error {
	var p pinCall
	if err := p.parse(c); err != nil {
		return err
	}
	a, err := p.send(ctx, p.target(method))
	if err != nil {
		return c.tellService(ownOperation(err))
	}
	return c.tell(&pinned{p.kind, p.hash, outcome(a), p.from}, nil)
}
