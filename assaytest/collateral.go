package assaytest

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Collateral is what a verifier needs beside the quote: two signed JSON documents, each with the PEM chain of its
// signer (leaf, LF, root, LF), and two CRLs in DER. A nil document is not there.
type Collateral struct {
	TCBInfo, TCBInfoChain       []byte
	QEIdentity, QEIdentityChain []byte
	PCKCRL, RootCRL             []byte
}

// Collateral issues the collateral of the scenario (sgx-tdx.md sections 4.4 and 5).
func (s *Scenario) Collateral() (Collateral, error) {
	var c Collateral
	var err error
	if c.TCBInfo, c.TCBInfoChain, err = s.tcbInfo(); err != nil {
		return Collateral{}, err
	}
	if c.QEIdentity, c.QEIdentityChain, err = s.qeIdentity(); err != nil {
		return Collateral{}, err
	}
	if c.PCKCRL, err = s.crl(PCKCRL, s.Platform.CA); err != nil {
		return Collateral{}, err
	}
	if c.RootCRL, err = s.crl(RootCRL, Root); err != nil {
		return Collateral{}, err
	}
	return c, nil
}

// WriteDir writes the documents that are there into the folder dir, which is made if need be: tcb_info.json,
// tcb_info_issuer_chain.pem, qe_identity.json, qe_identity_issuer_chain.pem, pck_crl.der and root_ca_crl.der.
func (c Collateral) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing collateral: %w", err)
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"tcb_info.json", c.TCBInfo},
		{"tcb_info_issuer_chain.pem", c.TCBInfoChain},
		{"qe_identity.json", c.QEIdentity},
		{"qe_identity_issuer_chain.pem", c.QEIdentityChain},
		{"pck_crl.der", c.PCKCRL},
		{"root_ca_crl.der", c.RootCRL},
	} {
		if f.content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, 0o644); err != nil {
			return fmt.Errorf("writing collateral: %w", err)
		}
	}
	return nil
}

// CRLPEM returns a DER CRL in PEM, as PCS delivers it; nil for nil.
func CRLPEM(der []byte) []byte {
	if der == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// CRLHex returns a DER CRL as hex text, as PCCS delivers the root CRL; nil for nil.
func CRLHex(der []byte) []byte {
	if der == nil {
		return nil
	}
	return hex.AppendEncode(nil, der)
}

// The JSON documents. Members stand in Intel's order; dates are RFC 3339 in UTC, binary values hex.

type tcbInfoJSON struct {
	ID         string `json:"id,omitempty"` // version 3 only
	Version    int    `json:"version"`
	IssueDate  string `json:"issueDate"`
	NextUpdate string `json:"nextUpdate"`
	FMSPC      string `json:"fmspc"`
	PCEID      string `json:"pceId"`
	TCBType    int    `json:"tcbType"`
	Evaluation int    `json:"tcbEvaluationDataNumber"`

	Module     *moduleJSON  `json:"tdxModule,omitempty"` // for TDX, as what follows
	Identities []moduleJSON `json:"tdxModuleIdentities,omitempty"`

	Levels []levelJSON `json:"tcbLevels"`
}

type levelJSON struct {
	TCB        any      `json:"tcb"`
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs,omitempty"`
}

type tcbJSON struct {
	Components []componentJSON `json:"sgxtcbcomponents"`
	PCESVN     uint16          `json:"pcesvn"`
	TDX        []componentJSON `json:"tdxtcbcomponents,omitempty"`
}

type componentJSON struct {
	SVN byte `json:"svn"`
}

type qeTCBJSON struct {
	SVN uint16 `json:"isvsvn"`
}

type qeIdentityJSON struct {
	ID             string      `json:"id"`
	Version        int         `json:"version"`
	IssueDate      string      `json:"issueDate"`
	NextUpdate     string      `json:"nextUpdate"`
	Evaluation     int         `json:"tcbEvaluationDataNumber"`
	MiscSelect     string      `json:"miscselect"`
	MiscSelectMask string      `json:"miscselectMask"`
	Attributes     string      `json:"attributes"`
	AttributesMask string      `json:"attributesMask"`
	MRSIGNER       string      `json:"mrsigner"`
	ProdID         uint16      `json:"isvprodid"`
	Levels         []levelJSON `json:"tcbLevels"`
}

// tcbInfo issues the TCB info and returns it with the chain of its signer.
func (s *Scenario) tcbInfo() (doc, chain []byte, err error) {
	info := tcbInfoJSON{
		Version:    s.TCBInfoVersion,
		IssueDate:  rfc3339(s.issued()),
		NextUpdate: rfc3339(s.expires()),
		FMSPC:      fmt.Sprintf("%X", s.Platform.FMSPC),
		PCEID:      fmt.Sprintf("%X", s.Platform.PCEID),
		Evaluation: s.Evaluation,
	}
	if s.TCBInfoVersion >= 3 {
		info.ID = "SGX"
	}
	if s.TD != nil {
		first := TDXModule{}.json()
		info.ID, info.Module, info.Identities = "TDX", &first, moduleIdentities(s.Modules)
	}
	levels := s.Levels
	if levels == nil {
		levels = TCBLevels(s.Evaluation)
	}
	for _, l := range levels {
		info.Levels = append(info.Levels, l.json(s.TCBInfoVersion, s.TD != nil))
	}
	return s.document(documentParts{"tcbInfo", TCBInfoBody, TCBInfo, TCBInfoChain}, info)
}

// json gives the level the form of the version of TCB info. Version 2 names each component and has no advisories.
func (l TCBLevel) json(version int, tdx bool) levelJSON {
	if version < 3 {
		var tcb []byte
		for i, svn := range l.SVN {
			tcb = fmt.Appendf(tcb, `"sgxtcbcomp%02dsvn":%d,`, i+1, svn)
		}
		tcb = fmt.Appendf(nil, `{%s"pcesvn":%d}`, tcb, l.PCESVN)
		return levelJSON{TCB: json.RawMessage(tcb), Date: rfc3339(l.Date), Status: l.Status}
	}
	tcb := tcbJSON{PCESVN: l.PCESVN}
	for i, svn := range l.SVN {
		tcb.Components = append(tcb.Components, componentJSON{svn})
		if tdx {
			tcb.TDX = append(tcb.TDX, componentJSON{l.TDX[i]})
		}
	}
	return levelJSON{TCB: tcb, Date: rfc3339(l.Date), Status: l.Status, Advisories: l.Advisories}
}

// qeIdentity issues the identity of the quoting enclave and returns it with the chain of its signer. What it demands
// is Intel's signer and product id, whatever the scenario's QE has.
func (s *Scenario) qeIdentity() (doc, chain []byte, err error) {
	identity := qeIdentityJSON{
		ID: "QE", Version: 2,
		IssueDate:      rfc3339(s.issued()),
		NextUpdate:     rfc3339(s.expires()),
		Evaluation:     s.Evaluation,
		MiscSelect:     "00000000",
		MiscSelectMask: "FFFFFFFF",
		Attributes:     "11000000000000000000000000000000",
		AttributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
		MRSIGNER:       fmt.Sprintf("%X", intelQESigner),
		ProdID:         1,
	}
	if s.TD != nil {
		identity.ID, identity.MRSIGNER, identity.ProdID = "TD_QE", fmt.Sprintf("%X", intelTDQESigner), 2
	}
	identity.Levels = svnLevels(s.QELevels)
	return s.document(documentParts{"enclaveIdentity", QEIdentityBody, QEIdentity, QEIdentityChain}, identity)
}

func svnLevels(levels []QELevel) (list []levelJSON) {
	for _, l := range levels {
		list = append(list, levelJSON{qeTCBJSON{l.SVN}, rfc3339(l.Date), l.Status, l.Advisories})
	}
	return list
}

// documentParts names the parts of a signed document, and the member that holds its body.
type documentParts struct {
	member                string
	body, document, chain Part
}

// document encodes and signs body (sgx-tdx.md section 5.1) and returns it with the chain of its signer.
func (s *Scenario) document(p documentParts, body any) (doc, chain []byte, err error) {
	inner, err := json.Marshal(body)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding %s: %w", p.document, err)
	}
	inner = s.edit(p.body, inner)
	signature, err := sign(s.signer(p.body, s.Endorser, TCBSigning).key(), inner)
	if err != nil {
		return nil, nil, err
	}
	signer := s.signer(p.chain, s.Endorser, TCBSigning)
	chain, err = s.chain(signer.By, signer.Role, Root)
	if err != nil {
		return nil, nil, err
	}
	doc = fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, p.member, inner, signature)
	return s.edit(p.document, doc), s.edit(p.chain, chain), nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
