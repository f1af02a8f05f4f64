package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// pcrValues are PCR values as files and --json have them: bank, index, value in hex. A file may name more than are quoted.
type pcrValues map[string]map[string]string

// banks reads values, the banks in the order of their names.
func (p pcrValues) banks() ([]tpm.Bank, error) {
	var banks []tpm.Bank
	for _, name := range slices.Sorted(maps.Keys(p)) {
		alg, ok := algOf(name)
		if !ok {
			return nil, fmt.Errorf("the bank %q is none of sha1, sha256, sha384 and sha512", name)
		}
		b := tpm.Bank{Alg: alg}
		for index, text := range p[name] {
			i, err := strconv.Atoi(index)
			if err != nil || i < 0 || i >= tpm.PCRCount {
				return nil, fmt.Errorf("the PCR %q is none of 0 to %d", index, tpm.PCRCount-1)
			}
			if b.Values[i], err = hex.DecodeString(text); err != nil || len(b.Values[i]) != alg.Size() {
				return nil, fmt.Errorf("the value of PCR %d in the bank %s is not %d bytes in hexadecimal", i, name, alg.Size())
			}
		}
		banks = append(banks, b)
	}
	return banks, nil
}

func algOf(name string) (tpm.Alg, bool) {
	for _, a := range []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384, tpm.SHA512} {
		if strings.EqualFold(name, a.String()) {
			return a, true
		}
	}
	return 0, false
}

// valuesOf writes values of the PCRs wanted.
func valuesOf(banks []tpm.Bank, wanted pcrSet) pcrValues {
	p := pcrValues{}
	for _, b := range banks {
		name := strings.ToLower(b.Alg.String())
		p[name] = map[string]string{}
		for i, v := range b.Values {
			if v != nil && wanted.has(uint32(i)) {
				p[name][strconv.Itoa(i)] = hex.EncodeToString(v)
			}
		}
	}
	return p
}

// pcrsVar declares the flag for a file of PCR values.
func (c *call) pcrsVar(banks *[]tpm.Bank) {
	c.Func("pcrs-file", "PCR values as JSON `FILE`: {\"sha256\": {\"0\": \"hex\", …}}, of all quoted PCRs", func(file string) error {
		b, err := c.read(file)
		if err != nil {
			return err
		}
		var values pcrValues
		if err = strictjson.Exact(b, &values); err == nil {
			*banks, err = values.banks()
		}
		if err == nil && len(*banks) == 0 {
			err = errors.New("it names no bank")
		}
		return err
	})
}

// pcrSet is the PCRs that a person wants to see. The zero value is all of them.
type pcrSet struct {
	some bool
	mask uint32
}

func (s pcrSet) has(pcr uint32) bool { return !s.some || pcr < tpm.PCRCount && s.mask>>pcr&1 == 1 }

// set reads a list such as 0,7,11-14.
func (s *pcrSet) set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 8)
		last, err2 := strconv.ParseUint(to, 10, 8)
		if errors.Join(err, err2) != nil || first > last || last >= tpm.PCRCount {
			return errors.New("expected PCRs from 0 to 23, such as 0,7,11-14")
		}
		for i := first; i <= last; i++ {
			s.mask |= 1 << i
		}
	}
	s.some = true
	return nil
}
