// Play scenarios with Dapr's SDK for Go, and print as JSON how each went:
//
//	peer ADDRESS [NAME...]
//
// By scenario, `error` (null when it is fulfilled) and `warnings`; under the name "" what the SDK
// warned of, for it does not tell which workflow it warns about.
package main

import (
	"encoding/json"
	"log"
	"os"
	"slices"
	"sync"
)

type end struct {
	Error *string  `json:"error"`
	Warnings []string `json:"warnings"`
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: peer ADDRESS [NAME...]")
	}
	ends, err := play(os.Args[1], os.Args[2:])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ends); err != nil {
		log.Fatal(err)
	}
}

func play(address string, names []string) (map[string]end, error) {
	harness, err := newHarness(address)
	if err != nil {
		return nil, err
	}
	defer harness.close()

	ends := map[string]end{}
	var guard sync.Mutex
	var playing sync.WaitGroup
	for name, scenario := range scenarios {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		playing.Go(func() {
			err := scenario(harness)
			guard.Lock()
			defer guard.Unlock()
			ends[name] = end{told(err), []string{}}
		})
	}
	playing.Wait()
	ends[""] = end{nil, harness.log.warnings()}
	return ends, nil
}

func told(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}
