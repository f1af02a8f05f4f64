package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tpmSide are the beginnings of the commands of a machine with a TPM and of its owner.
func tpmSide() []string {
	return []string{"attest tpm", "attest azureguest", "aik ", "roots ", "doctor", "tpm "}
}

// pages are the documents, by their names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d documents, %v", len(names), err)
	}
	all := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

// TestEveryFlagOfTheTPMCommandsIsInTheDocuments: on a page that tells of the command.
func TestEveryFlagOfTheTPMCommandsIsInTheDocuments(t *testing.T) {
	docs, flagLine := pages(t), regexp.MustCompile(`(?m)^  (--[a-z0-9-]+)`)
	walked := 0
	for _, c := range commands() {
		if !slices.ContainsFunc(tpmSide(), func(p string) bool { return strings.HasPrefix(c.name, p) }) {
			continue
		}
		help := assay(t, append(strings.Fields(c.name), "--help")...).stdout
		flags, _, _ := strings.Cut(help, "\nExamples:")
		for _, m := range flagLine.FindAllStringSubmatch(flags, -1) {
			named := regexp.MustCompile(regexp.QuoteMeta(m[1]) + `([^a-z0-9-]|$)`)
			found := false
			for _, text := range docs {
				found = found || strings.Contains(text, c.name) && named.MatchString(text)
			}
			if !found {
				t.Errorf("no page that tells of %s names %s", c.name, m[1])
			}
			walked++
		}
	}
	if walked < 60 {
		t.Errorf("%d flags found", walked)
	}
}
