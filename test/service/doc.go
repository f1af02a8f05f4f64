// Package service has the tests of the assay program as operators run it: real processes, killed and restarted, several on one
// PostgreSQL, behind a balancer. It has no code of its own.
package service
