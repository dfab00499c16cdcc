//go:build !unix

package segment

// lockDir does nothing where the operating system has no advisory locks that
// end with the process.
func lockDir(string) (unlock func() error, err error) {
	return func() error { return nil }, nil
}

// syncDir does nothing where directories cannot be synced.
func syncDir(string) error { return nil }
