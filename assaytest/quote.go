package assaytest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Values of quote fields (sgx-tdx.md section 2).
const (
	ecdsaP256      = 2 // attestation key type
	teeSGX         = 0
	teeTDX         = 0x81
	bodySGX        = 1 // types in the descriptor of version 5
	bodyTD10       = 2
	bodyTD15       = 3
	certPCKChain   = 5 // certification data types
	certQEReport   = 6
	intelQEVendor  = "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07"
	simulatedQEID  = "simulated QE id "
	openEnclaveV1  = 1 // version and type in the header of an Open Enclave report
	openEnclaveSGX = 2
)

// Quote encodes the evidence: a quote, behind the header of an Open Enclave report if the scenario says so
// (sgx-tdx.md sections 2 and 3.1).
func (s *Scenario) Quote() ([]byte, error) {
	if err := s.encodable(); err != nil {
		return nil, err
	}
	body := s.edit(QuoteBody, s.body())
	data, err := s.signatureData(body)
	if err != nil {
		return nil, err
	}
	quote := append(body, record32(data)...)
	if s.OpenEnclave {
		quote = OpenEnclaveReport(quote)
	}
	return s.edit(Evidence, quote), nil
}

// encodable reports what no quote can hold, broken or not.
func (s *Scenario) encodable() error {
	switch {
	case s.QuoteVersion < 3 || s.QuoteVersion > 5:
		return fmt.Errorf("quote version %d: only 3, 4 and 5 can be made", s.QuoteVersion)
	case s.TD != nil && (s.QuoteVersion == 3 || s.TD.V15 && s.QuoteVersion == 4):
		return fmt.Errorf("quote version %d: it has no room for the report of this TD", s.QuoteVersion)
	case len(s.AuthData) > math.MaxUint16:
		return fmt.Errorf("authentication data of %d bytes: at most %d fit", len(s.AuthData), math.MaxUint16)
	case len(s.PCKChain) == 0:
		return errors.New("the PCK chain is empty: nobody can sign the QE report")
	}
	return nil
}

// OpenEnclaveReport puts the 16-byte header of a remote Open Enclave report in front of an SGX quote (sgx-tdx.md
// section 3.1).
func OpenEnclaveReport(quote []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, openEnclaveV1)
	b = binary.LittleEndian.AppendUint32(b, openEnclaveSGX)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(quote)))
	return append(b, quote...)
}

// body returns what the attestation key signs: header, in version 5 the descriptor, and report (sgx-tdx.md section 2).
func (s *Scenario) body() []byte {
	report, tee, kind := s.Enclave.report(), uint32(teeSGX), uint16(bodySGX)
	if s.TD != nil {
		report, tee, kind = s.TD.report(), teeTDX, s.TD.bodyType()
	}
	b := s.header(tee)
	if s.QuoteVersion == 5 {
		b = binary.LittleEndian.AppendUint16(b, kind)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(report)))
	}
	return append(b, report...)
}

// header returns the 48 bytes in front of every quote (sgx-tdx.md section 2.1).
func (s *Scenario) header(tee uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, 48)
	le.PutUint16(b[0:], s.QuoteVersion)
	le.PutUint16(b[2:], ecdsaP256)
	le.PutUint32(b[4:], tee)
	if s.QuoteVersion == 3 { // informative copies; reserved in later versions
		le.PutUint16(b[8:], s.QE.SVN)
		le.PutUint16(b[10:], s.Platform.PCESVN)
	}
	copy(b[12:], intelQEVendor)
	copy(b[28:], simulatedQEID)
	return b
}

// signatureData returns what stands behind the length that follows body (sgx-tdx.md section 2.5).
func (s *Scenario) signatureData(body []byte) ([]byte, error) {
	key := s.edit(AttestationKey, s.Attester.publicKey(QuotingEnclave))
	signature, err := sign(s.signer(QuoteSignature, s.Attester, QuotingEnclave).key(), body)
	if err != nil {
		return nil, err
	}
	certification, err := s.qeCertification(key)
	if err != nil {
		return nil, err
	}
	data := append(s.edit(QuoteSignature, signature), key...)
	return s.edit(SignatureData, append(data, certification...)), nil
}

// qeCertification returns what binds the attestation key to the platform: QE report, its signature, authentication
// data and PCK chain; from version 4 on inside a certification data record of type 6.
func (s *Scenario) qeCertification(key []byte) ([]byte, error) {
	qe := s.QE
	binding := binds(key, s.AuthData)
	copy(qe.ReportData[:], binding[:])
	report := s.edit(QEReport, qe.report())
	signature, err := sign(s.signer(QEReportSignature, s.Attester, s.PCKChain[0]).key(), report)
	if err != nil {
		return nil, err
	}
	chain, err := s.chain(s.Attester, s.PCKChain...)
	if err != nil {
		return nil, err
	}
	chain = s.edit(PCKChainPEM, append(chain, 0)) // every quote made on Linux ends in this NUL
	b := append(report, s.edit(QEReportSignature, signature)...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.AuthData)))
	b = append(b, s.AuthData...)
	b = append(b, s.edit(CertificationData, certRecord(certPCKChain, chain))...)
	if s.QuoteVersion == 3 {
		return b, nil
	}
	return s.edit(QECertification, certRecord(certQEReport, b)), nil
}

// binds returns what the first half of the QE's report data must be.
func binds(key, authData []byte) [32]byte {
	return sha256.Sum256(append(append([]byte(nil), key...), authData...))
}

// certRecord encodes certification data: type, size, bytes (sgx-tdx.md section 2.6).
func certRecord(kind uint16, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, kind), record32(data)...)
}

// record32 puts the 32-bit size of data in front of it.
func record32(data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data...)
}
