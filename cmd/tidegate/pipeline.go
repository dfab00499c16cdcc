package main

import "github.com/spf13/cobra"

func (c *cli) pipelineCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "pipeline", Aliases: []string{"pipelines"}, Short: "Releases through stages, and comparisons of environments"},
		c.pipelineComparisons()...)
}
