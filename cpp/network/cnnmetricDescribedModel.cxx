// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricDescribedModel.h"

#include "cnnmetricOnnxFields.h"
#include "cnnmetricProtocolBuffer.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

namespace cnnmetric
{

namespace
{

using Names = std::set<std::string_view>;

/** A node of the graph. */
struct Node
{
  std::string_view              bytes{};
  std::vector<std::string_view> inputs{};
  std::vector<std::string_view> outputs{};
  std::string_view              type{};
  Names                         uses{}; ///< what is named by it, in its subgraphs as well
};

std::string_view
BytesOf(const std::string_view message, const unsigned int number)
{
  std::string_view found;
  ForEachField(message, [&](const Field & field) {
    if (field.number == number)
    {
      found = field.bytes;
    }
  });
  return found;
}

/** Collect the inputs of a node and those of the nodes in its subgraphs. */
void
CollectUses(const std::string_view node, Names & uses)
{
  ForEachField(node, [&](const Field & field) {
    if (field.number == number::NodeInput)
    {
      uses.insert(field.bytes);
    }
    else if (field.number == number::NodeAttribute)
    {
      ForEachField(field.bytes, [&](const Field & attribute) {
        if (attribute.number == number::AttributeGraph || attribute.number == number::AttributeGraphs)
        {
          ForEachField(attribute.bytes, [&](const Field & inner) {
            if (inner.number == number::GraphNode)
            {
              CollectUses(inner.bytes, uses);
            }
            else if (inner.number == number::GraphOutput)
            {
              uses.insert(BytesOf(inner.bytes, number::ValueName));
            }
          });
        }
      });
    }
  });
}

Node
ReadNode(const std::string_view bytes)
{
  Node node;
  node.bytes = bytes;
  ForEachField(bytes, [&node](const Field & field) {
    if (field.number == number::NodeInput)
    {
      node.inputs.push_back(field.bytes);
    }
    else if (field.number == number::NodeOutput)
    {
      node.outputs.push_back(field.bytes);
    }
    else if (field.number == number::NodeType)
    {
      node.type = field.bytes;
    }
  });
  CollectUses(bytes, node.uses);
  return node;
}

/** Which nodes the wanted values come from, if `given` is known. What is used is added to `used`. */
std::set<const Node *>
Needed(const std::vector<Node> & nodes, const std::string_view given, Names & used)
{
  std::set<const Node *> needed;
  // Nodes stand after those whose outputs they take.
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
  {
    const bool isUsed = std::any_of(node->outputs.begin(), node->outputs.end(), [&](const auto output) {
      return output != given && used.count(output);
    });
    if (isUsed)
    {
      needed.insert(&*node);
      used.insert(node->uses.begin(), node->uses.end());
    }
  }
  return needed;
}

std::string
CutGraph(const std::string_view graph, const unsigned int image, std::string & input)
{
  const std::string_view described = image == 0 ? "descriptor_first" : "descriptor_second";
  const std::string_view gradient = image == 0 ? "gradient_second" : "gradient_first";
  std::vector<Node>      nodes;
  std::string_view       type;
  ForEachField(graph, [&](const Field & field) {
    if (field.number == number::GraphNode)
    {
      nodes.push_back(ReadNode(field.bytes));
    }
    else if (field.number == number::GraphOutput && BytesOf(field.bytes, number::ValueName) == described)
    {
      type = BytesOf(field.bytes, number::ValueType);
    }
  });
  // Others compute with what an Identity gives its name to.
  std::string_view given = described;
  for (const Node & node : nodes)
  {
    if (node.type == "Identity" && node.outputs.front() == described)
    {
      given = node.inputs.front();
    }
  }
  input = std::string(given);

  Names      used{ "dissimilarity", gradient };
  const auto needed = Needed(nodes, given, used);

  std::string cut;
  std::size_t place = 0;
  ForEachFieldWithBytes(graph, [&](const Field & field, const std::string_view bytes) {
    bool isKept = true;
    switch (field.number)
    {
      case number::GraphNode:
        isKept = needed.count(&nodes[place++]) != 0;
        break;
      case number::GraphInitializer:
        isKept = used.count(BytesOf(field.bytes, number::TensorName)) != 0;
        break;
      case number::GraphOutput:
      {
        const auto name = BytesOf(field.bytes, number::ValueName);
        isKept = name == "dissimilarity" || name == gradient;
        break;
      }
      case number::GraphValue:
        isKept = BytesOf(field.bytes, number::ValueName) != given;
        break;
      default:
        break;
    }
    if (isKept)
    {
      cut += bytes;
    }
  });
  std::string value;
  AppendField(number::ValueName, given, value);
  AppendField(number::ValueType, type, value);
  AppendField(number::GraphInput, value, cut);
  return cut;
}

} // namespace


DescribedModel
TakeDescriptors(const std::string & bytes, const unsigned int image)
{
  DescribedModel model;
  ForEachFieldWithBytes(bytes, [&](const Field & field, const std::string_view all) {
    if (field.number == number::ModelGraph)
    {
      AppendField(field.number, CutGraph(field.bytes, image, model.input), model.bytes);
    }
    else
    {
      model.bytes += all;
    }
  });
  return model;
}

} // namespace cnnmetric
