package eventlog

// StartupLocality is what the log tells, 0 without.
func (l *Log) StartupLocality() int { return max(l.locality, 0) }
