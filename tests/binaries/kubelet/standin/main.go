// Stands in for tensorflow_model_server and for the guard's Python in a container: as a static program it needs no image around it.
//
// It ends where it could not do its work (a file that cannot be read, a model that is not there), ignores SIGTERM as those do that
// are a container's first process, and tells at port 8501 what it found.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const token = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// As TensorFlow Serving: the ports open when the model is loaded.
const loads = 2 * time.Second

var base = regexp.MustCompile(`base_path: "([^"]*)"`)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	flags := flags(os.Args[1:])
	found := map[string]any{
		"args":   os.Args,
		"uid":    os.Getuid(),
		"gid":    os.Getgid(),
		"home":   os.Getenv("HOME"),
		"status": status(),
		"root":   written("/written"),
		"tmp":    written("/tmp/written"),
		"token":  readable(token),
	}
	if flags["model_config_file"] != "" {
		config := must(flags["model_config_file"])
		found["config"], found["monitoring"] = config, must(flags["monitoring_config_file"])
		found["mount"] = written(filepath.Dir(flags["model_config_file"]) + "/written")
		found["model"] = listed(base.FindStringSubmatch(config)[1])
		time.Sleep(loads)
		go opened(flags["port"])
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { json.NewEncoder(answer).Encode(found) })
	http.HandleFunc("/told-to-end", func(answer http.ResponseWriter, _ *http.Request) { json.NewEncoder(answer).Encode(len(told)) })
	end(http.ListenAndServe(":8501", nil))
}

func end(why any) {
	fmt.Println(why)
	os.Exit(1)
}

func flags(arguments []string) map[string]string {
	found := map[string]string{}
	for _, one := range arguments {
		name, value, _ := strings.Cut(strings.TrimPrefix(one, "--"), "=")
		found[name] = value
	}
	return found
}

func status() map[string]string {
	found := map[string]string{}
	for _, line := range strings.Split(must("/proc/self/status"), "\n") {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.TrimSpace(value)
	}
	return found
}

func must(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		end(err)
	}
	return string(content)
}

func readable(path string) string {
	if _, err := os.ReadFile(path); err != nil {
		return err.Error()
	}
	return ""
}

func written(path string) string {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err.Error()
	}
	return ""
}

func listed(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		end("Could not find base path " + folder + ": " + err.Error())
	}
	found := []string{}
	for _, one := range entries {
		found = append(found, one.Name())
	}
	return found
}

func opened(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		end(err)
	}
	for {
		if connection, err := listener.Accept(); err == nil {
			connection.Close()
		}
	}
}
