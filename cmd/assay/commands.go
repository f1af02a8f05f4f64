package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// command is one row of the table of commands.
type command struct {
	name     string // one or two words
	args     string // the positional arguments, for the usage line
	summary  string
	examples []string
	run      func(ctx context.Context, c *call) error
}

// commands is everything the binary can do, in the order in which help lists it.
func commands() []command {
	return slices.Concat([]command{
		{"serve", "", "run the attestation service", []string{
			"assay serve --dev",
			"assay serve --url https://attest.example --tls-cert tls.pem --tls-key tls.key",
		}, runServe},
		{"demo", "", "show the whole story with a simulated enclave", []string{"assay demo"}, runDemo},
		{"attest", "TYPE FILE", "send evidence to a service and verify the token it answers with", []string{
			"assay attest sgx quote.bin --endpoint https://localhost:8443 --ca assay-data/dev-ca.pem",
			"assay attest sgx quote.bin --endpoint https://attest.example --runtime-data key.json --runtime-type json",
		}, runAttest},
		{"evidence inspect", "FILE", "show what evidence says, believing nothing", []string{
			"assay evidence inspect --type sgx quote.bin",
		}, runEvidenceInspect},
		{"evidence verify", "FILE", "verify evidence offline against stored collateral", []string{
			"assay evidence verify --type sgx quote.bin --collateral collateral.tar.gz",
			"assay evidence verify --type openenclave report.bin --collateral collateral/ --accept-status UpToDate,SWHardeningNeeded",
		}, runEvidenceVerify},
		{"token inspect", "TOKEN", "show what a token says, believing nothing", []string{
			"assay token inspect token.jwt",
		}, runTokenInspect},
		{"token verify", "TOKEN", "verify a token as a relying party does", []string{
			"assay token verify token.jwt --issuer https://attest.example",
			"assay token verify - --issuer https://attest.example --jwks certs.json --require x-ms-sgx-is-debuggable=false",
		}, runTokenVerify},
	}, policyCommands(), storeCommands(), []command{
		{"collateral fetch", "", "get collateral from Intel or a cache of it into a bundle", []string{
			"assay collateral fetch --fmspc 00906ED50000 --ca processor --out collateral.tar.gz",
			"assay collateral fetch --fmspc 00606A000000 --ca platform --evaluation 17 --source https://pccs.example:8081 --out collateral/",
		}, runCollateralFetch},
		{"collateral import", "BUNDLE", "verify the sets of a bundle and add them to another", []string{
			"assay collateral import fetched.tar.gz --out collateral/",
		}, runCollateralImport},
		{"collateral export", "BUNDLE", "copy sets of a bundle, as they are, to a new one", []string{
			"assay collateral export collateral/ --fmspc 00906ED50000 --out one.tar.gz",
		}, runCollateralExport},
		{"collateral verify", "BUNDLE", "verify every document of a bundle", []string{
			"assay collateral verify collateral.tar.gz",
		}, runCollateralVerify},
		{"collateral status", "BUNDLE", "list the documents of a bundle and their dates", []string{
			"assay collateral status collateral.tar.gz",
		}, runCollateralStatus},
		{"sim", "TYPE", "write evidence of a simulated platform, with all that is needed to verify it", []string{
			"assay sim sgx --out sim",
			"assay evidence verify --type sgx sim/quote.bin --collateral sim/collateral --trust-root sim/root.pem --runtime-data sim/runtime.json --runtime-type json",
		}, runSim},
		{"dev token", "", "make a bearer token that a service in development mode accepts", []string{
			"assay dev token --role contributor",
			"assay dev token --role reader --provider myprovider --life 10m --data assay-data",
		}, runDevToken},
		{"version", "", "print the version", []string{"assay version"}, runVersion},
	})
}

// policyCommands is what those who write policies need.
func policyCommands() []command {
	return []command{
		{"policy check", "FILE", "find the errors of a policy, and what is probably one", []string{
			"assay policy check --type sgx policy.txt",
		}, runPolicyCheck},
		{"policy hash", "FILE", "print the hash by which tokens name a policy", []string{
			"assay policy hash policy.txt",
		}, runPolicyHash},
		{"policy fmt", "FILE…", "lay policies out in the one canonical form", []string{
			"assay policy fmt policy.txt",
			"assay policy fmt --write policies/*.txt",
			"assay policy fmt --check policies/*.txt",
		}, runPolicyFmt},
		{"policy lsp", "", "serve an editor: errors, completion, explanations and layout of policies", []string{
			"assay policy lsp",
		}, runPolicyLSP},
		{"policy eval", "", "evaluate a policy over claims or evidence as the service would", []string{
			"assay policy eval --policy policy.txt --claims claims.json",
			"assay policy eval --policy policy.txt --type sgx --evidence quote.bin --collateral collateral.tar.gz",
		}, runPolicyEval},
		{"policy explain", "", "evaluate a policy and show why it decided as it did", []string{
			"assay policy explain --policy policy.txt --claims claims.json",
			"assay policy explain --policy policy.txt --type sgx --evidence quote.bin --collateral collateral.tar.gz",
		}, runPolicyExplain},
		{"policy test", "DIR…", "run the golden tests of policies in folders", []string{
			"assay policy test policies/",
			"assay policy test policies/ --junit report.xml",
			"assay policy test policies/release.test.yaml --update",
		}, runPolicyTest},
		{"policy sign", "[FILE]", "make the JWS that sets a policy, or takes it back", []string{
			"assay policy sign policy.txt --type sgx --key signer.key --cert signer.pem --out policy.jws",
			"assay policy sign policy.txt --type sgx --unsigned --out policy.jws",
			"assay policy sign --reset --key signer.key --cert signer.pem",
		}, runPolicySign},
		{"policy unsign", "FILE", "take the policy out of a JWS", []string{
			"assay policy unsign policy.jws --signer signer.pem --out policy.txt",
		}, runPolicyUnsign},
		{"policy jws", "FILE", "show what the JWS of a policy says, and verify its signature", []string{
			"assay policy jws policy.jws",
			"assay policy jws policy.jws --signer signer.pem",
		}, runPolicyJWS},
	}
}

// storeCommands is what those who keep the service's data need.
func storeCommands() []command {
	return []command{
		{"store migrate", "", "bring the schema of a store up to date, and make an SQLite store", []string{
			"assay store migrate --data /var/lib/assay",
			"assay store migrate --store postgres://assay@db.example/assay",
			"assay store migrate --store-file /etc/assay/store",
		}, runStoreMigrate},
		{"store backup", "", "write one state of a store to a file while the service runs", []string{
			"assay store backup --data /var/lib/assay --out assay.backup",
			"assay store backup --store-file /etc/assay/store --out - | gzip >assay.backup.gz",
		}, runStoreBackup},
		{"store restore", "FILE", "read a backup into a store that is new and empty", []string{
			"assay store restore assay.backup --store-file /etc/assay/store",
			"assay store restore - --data /var/lib/assay <assay.backup",
		}, runStoreRestore},
		{"store check", "", "look for faults of a store", []string{
			"assay store check --data /var/lib/assay",
		}, runStoreCheck},
	}
}

// find picks the command that args begin with and returns the arguments left for it. No command and no error means
// that help was asked for: about the group of commands named by the arguments returned, or about all.
func find(args []string) (*command, []string, error) {
	table := commands()
	for i := range table {
		words := strings.Fields(table[i].name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == table[i].name {
			return &table[i], args[len(words):], nil
		}
	}
	if len(args) == 0 {
		return nil, nil, usage("no command given")
	}
	group := isGroup(table, args[0])
	switch last := args[len(args)-1]; {
	case wantsHelp(args[0]) && len(args) == 1:
		return nil, nil, nil
	case group && len(args) == 2 && wantsHelp(last):
		return nil, args[:1], nil
	case group && len(args) == 1:
		return nil, nil, usage("%s what? Try: assay %s --help", args[0], args[0])
	case group:
		return nil, nil, usage("unknown command %q", strings.Join(args[:2], " "))
	}
	return nil, nil, usage("unknown command %q", args[0])
}

func isGroup(table []command, word string) bool {
	for _, c := range table {
		if strings.HasPrefix(c.name, word+" ") {
			return true
		}
	}
	return false
}

func wantsHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

// printIndex lists the commands, or those of one group.
func printIndex(w io.Writer, group []string) {
	fmt.Fprintln(w, "Assay verifies attestation evidence and answers with signed tokens.\n\nUsage: assay COMMAND …")
	fmt.Fprintln(w)
	for _, c := range commands() {
		if len(group) == 0 || strings.HasPrefix(c.name, group[0]+" ") {
			fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, `
Every command but policy lsp takes --json for output with stable member names; all take --help.

Exit status: 0 it holds; 1 it does not hold; 2 the call is wrong or a file cannot be read;
3 collateral or a key set is not there; 4 the service failed or could not be reached.
`)
}
