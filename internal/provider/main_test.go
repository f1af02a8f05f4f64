package provider

import (
	"os"
	"testing"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
