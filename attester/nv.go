package attester

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The NV indices of the issuing chain, DER certificates one after the other (tpm-evidence.md section 3).
const (
	ekChainFirst tpm2.TPMHandle = 0x01C00100
	ekChainLast  tpm2.TPMHandle = 0x01C001FF
)

const (
	maxIndex = 16 << 10 // bytes of an NV index that is read; real ones have up to 4 KB
	nvChunk  = 512      // bytes that each TPM gives in one answer
)

// issuingChain reads the certificates above that of the endorsement key.
func (t *TPM) issuingChain() ([]*x509.Certificate, error) {
	indices, err := t.chainIndices()
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, index := range indices {
		b, err := t.index(index)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	chain, err := certificates(all)
	if err != nil {
		return nil, problem("the issuing chain of the endorsement key in the TPM cannot be read", "ask the maker of the machine for a new one", err)
	}
	return chain, nil
}

// certificates reads certificates one after the other, up to a rest of zeros.
func certificates(b []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := cryptobyte.String(b)
	for len(bytes.Trim(rest, "\x00")) > 0 {
		var element cryptobyte.String
		if len(chain) == maxChain || !rest.ReadASN1Element(&element, asn1.SEQUENCE) {
			return nil, fmt.Errorf("expected at most %d certificates in DER, and zeros behind them", maxChain)
		}
		c, err := x509.ParseCertificate(element)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// chainIndices lists the indices of the issuing chain that are there.
func (t *TPM) chainIndices() ([]tpm2.TPMHandle, error) {
	const doing = "listing its certificates"
	answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(ekChainFirst), PropertyCount: maxChain}.Execute(t.link)
	if err != nil {
		return nil, failed(doing, err)
	}
	handles, err := answer.CapabilityData.Data.Handles()
	if err != nil {
		return nil, failed(doing, err)
	}
	var indices []tpm2.TPMHandle
	for _, h := range handles.Handle {
		if h >= ekChainFirst && h <= ekChainLast {
			indices = append(indices, h)
		}
	}
	return indices, nil
}

// index reads an NV index that needs no password, nil if there is none.
func (t *TPM) index(index tpm2.TPMHandle) ([]byte, error) {
	const doing = "reading a certificate"
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(doing, err)
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return nil, failed(doing, err)
	}
	if area.DataSize > maxIndex {
		return nil, failed(doing, fmt.Errorf("index %08X has %d bytes, more than %d", uint32(index), area.DataSize, maxIndex))
	}
	var b []byte
	for len(b) < int(area.DataSize) {
		answer, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       uint16(min(nvChunk, int(area.DataSize)-len(b))), Offset: uint16(len(b)),
		}.Execute(t.link)
		if err != nil {
			return nil, failed(doing, err)
		}
		if len(answer.Data.Buffer) == 0 {
			return nil, failed(doing, errors.New("the TPM gives nothing"))
		}
		b = append(b, answer.Data.Buffer...)
	}
	return b, nil
}
