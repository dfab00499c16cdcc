// Package openfeature holds tests in which unmodified OpenFeature clients, in
// Go and in JavaScript, evaluate flags against Tidegate over all protocols it
// serves: flagd's evaluation and sync gRPC, and OFREP.
package openfeature
