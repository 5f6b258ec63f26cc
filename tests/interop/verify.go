// Checks what a Concordat gateway wrote and serves with Go's own packages of the checksum
// database, golang.org/x/mod/sumdb/note and tlog (Debian: golang-golang-x-mod-dev):
// that the log signed its checkpoint, that the checkpoint extends an earlier one by the tiles
// that are served, and that each record of an exchange is in it.
//
//	go run verify.go URL VKEY OLD [PROOFS]
//
// URL is where the log serves its checkpoint and tiles, VKEY its key (C2SP signed-note), OLD the
// file of a checkpoint that was kept, and PROOFS a file of proved records, as
// /audit/v1/exchanges/{id}/proof answers it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "INVALID:", err)
		os.Exit(1)
	}
}

// served reads a log's tiles as C2SP tlog-tiles has them: their paths name no height.
type served struct{ url string }

func (s served) Height() int                     { return 8 }
func (s served) SaveTiles([]tlog.Tile, [][]byte) {}
func (s served) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		content, err := s.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

func (s served) get(path string) ([]byte, error) {
	answer, err := http.Get(s.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// open returns the tree of a checkpoint, once its signature is verified.
func open(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		must(fmt.Errorf("not a checkpoint of %s", verifier.Name()))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

func checkRecord(entry, proof string, verifier note.Verifier) {
	head, checkpoint, _ := strings.Cut(proof, "\n\n")
	lines := strings.Split(head, "\n")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		must(err)
		hashes = append(hashes, hash)
	}
	tree := open([]byte(checkpoint), verifier)
	must(tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash([]byte(entry))))
	var said struct{ Kind string }
	must(json.Unmarshal([]byte(entry), &said))
	fmt.Printf("%s at index %d is in %s of size %d\n", said.Kind, index, verifier.Name(), tree.N)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: verify URL VKEY OLD [PROOFS]")
		os.Exit(2)
	}
	log := served{strings.TrimSuffix(os.Args[1], "/")}
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	kept, err := os.ReadFile(os.Args[3])
	must(err)
	newest, err := log.get("checkpoint")
	must(err)
	old, tree := open(kept, verifier), open(newest, verifier)
	proof, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, log))
	must(err)
	must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	fmt.Printf("%s of size %d extends what it was at size %d\n", verifier.Name(), tree.N, old.N)
	if len(os.Args) > 4 {
		content, err := os.ReadFile(os.Args[4])
		must(err)
		var proved struct {
			Records []struct{ Entry, Proof string }
		}
		must(json.Unmarshal(content, &proved))
		for _, record := range proved.Records {
			checkRecord(record.Entry, record.Proof, verifier)
		}
	}
	fmt.Println("verified")
}
