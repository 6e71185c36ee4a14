WHOSE = "the plugin"
