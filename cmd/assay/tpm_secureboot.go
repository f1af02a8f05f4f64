package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
)

// keysReport is the result of tpm secureboot-keys: the setting of a provider, as it is to be pasted.
type keysReport struct {
	Verified bool       `json:"verified"` // false: nothing vouches for a log alone
	Keys     []bootKeys `json:"azureguest_secureboot_keys,omitzero"`
	Error    *problem   `json:"error,omitzero"`
}

// bootKeys is one set of secure-boot keys: SHA-256s in hex.
type bootKeys struct {
	PK  []string `json:"pk"`
	KEK []string `json:"kek"`
	DB  []string `json:"db"`
	DBX []string `json:"dbx"`

	DBXCertificates []string `json:"dbx_certificates"`
}

// lists gives the lists with their names, in the order in which they are printed.
func (l bootKeys) lists() []struct {
	name string
	list []string
} {
	return []struct {
		name string
		list []string
	}{{"pk", l.PK}, {"kek", l.KEK}, {"db", l.DB}, {"dbx", l.DBX}, {"dbx_certificates", l.DBXCertificates}}
}

// runTPMSecureBootKeys prints the setting that makes a service expect the secure-boot keys of a log's machine.
func runTPMSecureBootKeys(_ context.Context, c *call) error {
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	r := &keysReport{}
	keys, err := secureBootKeysOf(b)
	if err != nil {
		r.Error = problemOf(err)
	} else {
		r.Keys = []bootKeys{keys}
	}
	return c.tell(r, err)
}

// secureBootKeysOf reads the keys out of a TCG log. The error is a refusal of a log that has none.
func secureBootKeysOf(b []byte) (l bootKeys, err error) {
	logs, err := readLogs(b, nil)
	if err != nil {
		return l, err
	}
	boot, err := logs.judge(nil, &evidence.Journal{})
	if err != nil {
		return l, err
	}
	keys := azureguest.KeysOf(boot.SecureBoot())
	l = bootKeys{hexOf(keys.PK), hexOf(keys.KEK), hexOf(keys.DB), hexOf(keys.DBX), hexOf(keys.DBXCertificates)}
	for _, one := range l.lists() {
		if len(one.list) == 0 && !strings.HasPrefix(one.name, "dbx") {
			return l, evidence.Refuse(evidence.SecureBootLog, "the log has no %s whose entries are certificates or SHA-256s", one.name).
				Do("take the log of a machine on which the keys of secure boot are enrolled")
		}
	}
	return l, nil
}

func hexOf(hashes [][32]byte) []string {
	list := []string{}
	for _, h := range hashes {
		list = append(list, hex.EncodeToString(h[:]))
	}
	return list
}

// print writes YAML. What a person has to know stands in comments, so that the output can be pasted as it is.
func (r *keysReport) print(s sheet, err error) {
	if err != nil {
		s.heading(red, "REFUSED", "TCG log")
		s.refusal(err)
		return
	}
	fmt.Fprintln(s.w, "# The log is not authenticated: unless it came with a quote that verified, anybody can have written it, and a service that expects")
	fmt.Fprintln(s.w, "# these keys trusts who did. assay tpm eventlog with --quote verifies one.")
	for _, keys := range r.Keys {
		if len(keys.DBX)+len(keys.DBXCertificates) == 0 {
			fmt.Fprintln(s.w, "# The machine has no dbx, and none is validated by an empty list.")
		}
		fmt.Fprintln(s.w, "azureguest_secureboot_keys:")
		for i, one := range keys.lists() {
			fmt.Fprintf(s.w, "%s %s:%s\n", []string{"  -", "   "}[min(i, 1)], one.name, map[bool]string{true: " []"}[len(one.list) == 0])
			for _, digest := range one.list {
				fmt.Fprintln(s.w, "      - "+digest)
			}
		}
	}
}
