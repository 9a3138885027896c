"""HTTP and nothing else: questions in, answers and problems out."""
