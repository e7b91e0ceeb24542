"""The vocabulary: values, errors, the plan, the record, their codec, the ports and the timeline; nothing here touches the world."""
