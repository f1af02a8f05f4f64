package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// maxPEM bounds a file of keys or certificates. The largest RSA key in use takes 13 KB.
const maxPEM = 1 << 20

// othersMay are the permissions that nobody but the owner should have on a private key.
const othersMay os.FileMode = 0o077

// certificatesVar declares a flag that names a PEM file of certificates.
func (c *call) certificatesVar(certs *[]*x509.Certificate, name, help string) {
	c.Func(name, help, func(file string) (err error) {
		*certs, err = inPEM(c, file, pemCertificates)
		return err
	})
}

// keyVar declares a flag that names a PEM file with a private key, and warns if others can read it.
func (c *call) keyVar(key *crypto.Signer, name, help string) {
	c.Func(name, help, func(file string) (err error) {
		*key, err = inPEM(c, file, pemKey)
		info, statErr := os.Stat(file)
		if err == nil && statErr == nil && info.Mode().IsRegular() && info.Mode().Perm()&othersMay != 0 {
			c.warn("--%s %s has permissions %04o: others may have read the key; chmod 600 it, or replace the key", name, file, info.Mode().Perm())
		}
		return err
	})
}

// warn tells something that does not keep the command from its work.
func (c *call) warn(format string, args ...any) {
	fmt.Fprintf(c.stderr, "assay: warning: %s\n", plain(fmt.Sprintf(format, args...)))
}

// inPEM reads a file of PEM blocks.
func inPEM[T any](c *call, file string, read func([]*pem.Block) (T, error)) (found T, err error) {
	b, err := c.read(file)
	if err != nil {
		return found, err
	}
	blocks, err := pemBlocks(b)
	if err == nil {
		found, err = read(blocks)
	}
	if err != nil {
		return found, badFile(fmt.Errorf("%s: %w", file, err))
	}
	return found, nil
}

func pemBlocks(b []byte) (blocks []*pem.Block, err error) {
	if len(b) > maxPEM {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(b), maxPEM)
	}
	begun := bytes.Count(b, []byte("-----BEGIN "))
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) != begun { // Decode passes over what is damaged
		return nil, errors.New("the PEM is damaged")
	}
	return blocks, nil
}

// pemCertificates takes the certificates in their order. A key may stand beside them.
func pemCertificates(blocks []*pem.Block) (certs []*x509.Certificate, err error) {
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("expected a certificate in PEM, found none")
	}
	return certs, nil
}

// pemKey takes the one private key. Certificates, and the parameters that OpenSSL writes before a key on a curve, may
// stand beside it.
func pemKey(blocks []*pem.Block) (key crypto.Signer, err error) {
	for _, block := range blocks {
		if block.Type == "CERTIFICATE" || block.Type == "EC PARAMETERS" {
			continue
		}
		if key != nil {
			return nil, errors.New("expected one private key, found more")
		}
		if key, err = parseKey(block); err != nil {
			return nil, err
		}
	}
	if key == nil {
		return nil, errors.New("expected a private key in PEM, found none")
	}
	return key, nil
}

// parseKey reads a key as PKCS #8, PKCS #1 or SEC 1 have it.
func parseKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted: decrypt it first, as with openssl pkey")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("expected a key to sign with, found %T", key)
	}
	return nil, fmt.Errorf("expected a private key in PEM, found %q", block.Type)
}
